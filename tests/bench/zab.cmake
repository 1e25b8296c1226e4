# SPDX-License-Identifier: Apache-2.0
# One node by itself: for e2e_zab, and for tests/bench/zab/compare.
add_executable(zab-node bench/zab/node.c)
target_link_libraries(zab-node PRIVATE ll_cluster_node)
