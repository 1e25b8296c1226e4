# SPDX-License-Identifier: Apache-2.0
add_library(cluster_wire_kit STATIC unit/cluster_wire_kit.c)
target_include_directories(cluster_wire_kit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(cluster_wire_kit PUBLIC ll_cluster_wire)

unit_test(cluster_wire cluster_wire)
target_link_libraries(test_cluster_wire PRIVATE cluster_wire_kit)

add_library(cluster_peer_rig STATIC unit/cluster_peer_rig.c)
target_include_directories(cluster_peer_rig PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(cluster_peer_rig PUBLIC ll_cluster_peer ll_test_kit)

foreach(name cluster_peer cluster_peer_shake cluster_peer_tls)
  unit_test(${name} cluster_peer)
  target_link_libraries(test_${name} PRIVATE cluster_peer_rig)
endforeach()
target_link_libraries(test_cluster_peer_tls PRIVATE tls_kit)
target_link_options(test_cluster_peer PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
