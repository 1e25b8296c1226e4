# SPDX-License-Identifier: Apache-2.0
add_library(zab_rig STATIC unit/zab_rig.c unit/zab_solo.c)
target_include_directories(zab_rig PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(zab_rig PUBLIC ll_zab)

foreach(name zab_broadcast zab_elect zab_law zab_learner zab_restore zab_sync)
  unit_test(${name} zab)
  target_link_libraries(test_${name} PRIVATE zab_rig)
endforeach()
