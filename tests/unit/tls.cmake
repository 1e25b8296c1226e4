# SPDX-License-Identifier: Apache-2.0
add_library(tls_kit STATIC unit/tls_kit.c)
target_include_directories(tls_kit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(tls_kit PUBLIC ll_net)
unit_test(tls net)
target_link_libraries(test_tls PRIVATE tls_kit)
unit_test(tls_flood net)
target_link_libraries(test_tls_flood PRIVATE tls_kit)
