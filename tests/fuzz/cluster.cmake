# SPDX-License-Identifier: Apache-2.0
# As fuzz.cmake, for what the nodes of a cluster say to each other.
function(fuzz_cluster name mutations)
  if(LONGLINK_FUZZ)
    add_executable(fuzz_cluster_${name} fuzz/fuzz_cluster_${name}.c)
    target_link_options(fuzz_cluster_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_cluster_${name} PRIVATE any_packet ll_cluster_${name})
  else()
    add_executable(replay_cluster_${name} fuzz/fuzz_cluster_${name}.c fuzz/replay.c)
    target_link_libraries(replay_cluster_${name} PRIVATE any_packet ll_cluster_${name})
    add_test(NAME fuzz_cluster_${name}
             COMMAND replay_cluster_${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/cluster_${name} ${mutations})
  endif()
endfunction()

fuzz_cluster(wire 400000)
fuzz_cluster(peer 10000)
