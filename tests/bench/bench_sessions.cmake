# SPDX-License-Identifier: Apache-2.0
# Figures are by hand: bin/bench_sessions. Here only what it CHECKs, of some clients.
add_executable(bench_sessions bench/bench_shard_sessions.c)
target_include_directories(bench_sessions PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(bench_sessions PRIVATE ll_shard ll_store)
add_test(NAME bench_sessions COMMAND bench_sessions 300 1000)
