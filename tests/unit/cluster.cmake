# SPDX-License-Identifier: Apache-2.0
add_library(cluster_wire_kit STATIC unit/cluster_wire_kit.c)
target_include_directories(cluster_wire_kit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(cluster_wire_kit PUBLIC ll_cluster_wire)

unit_test(cluster_wire cluster_wire)
target_link_libraries(test_cluster_wire PRIVATE cluster_wire_kit)
