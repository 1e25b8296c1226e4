# SPDX-License-Identifier: Apache-2.0
add_library(tls_kit STATIC unit/tls_kit.c)
target_include_directories(tls_kit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(tls_kit PUBLIC ll_net)
foreach(name tls tls_ask tls_files tls_flood)
  unit_test(${name} net)
  target_link_libraries(test_${name} PRIVATE tls_kit)
endforeach()
