# SPDX-License-Identifier: Apache-2.0
foreach(name index snap conf node)
  unit_test(cluster_${name} cluster_node)
endforeach()
