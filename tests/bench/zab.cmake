# SPDX-License-Identifier: Apache-2.0
# One node by itself: for e2e_zab, and for tests/bench/zab/compare.
add_executable(zab-node bench/zab/node.c)
target_link_libraries(zab-node PRIVATE ll_cluster_node)
across_files(zab-node)

add_executable(zab-load bench/zab/load.c)
target_include_directories(zab-load PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})

# Only where ZooKeeper's client is: deploy/install bench
find_path(ZOOKEEPER_INCLUDE zookeeper/zookeeper.h)
find_library(ZOOKEEPER_LIBRARY zookeeper_mt)
mark_as_advanced(ZOOKEEPER_INCLUDE ZOOKEEPER_LIBRARY)
if(ZOOKEEPER_INCLUDE AND ZOOKEEPER_LIBRARY AND NOT LONGLINK_SANITIZE)
  add_executable(zookeeper-load bench/zab/load_zookeeper.c)
  target_include_directories(zookeeper-load PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_include_directories(zookeeper-load SYSTEM PRIVATE ${ZOOKEEPER_INCLUDE})
  target_link_libraries(zookeeper-load PRIVATE ${ZOOKEEPER_LIBRARY})
endif()
