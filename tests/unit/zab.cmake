# SPDX-License-Identifier: Apache-2.0
add_library(zab_rig STATIC unit/zab_rig.c unit/zab_solo.c)
target_include_directories(zab_rig PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(zab_rig PUBLIC ll_zab)

file(GLOB zab_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/unit/test_zab_*.c)
foreach(file IN LISTS zab_tests)
  string(REGEX REPLACE ".*/test_(.*)\\.c$" "\\1" name ${file})
  unit_test(${name} zab)
  target_link_libraries(test_${name} PRIVATE zab_rig)
endforeach()
target_link_options(test_zab_restore PRIVATE -Wl,--wrap=calloc)
