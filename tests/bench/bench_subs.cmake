# SPDX-License-Identifier: Apache-2.0
# Figures are by hand: bin/bench_subs. Here only what it CHECKs, of a thousand filters.
add_executable(bench_subs bench/bench_subs.c)
target_link_libraries(bench_subs PRIVATE ll_subs ll_topic)
add_test(NAME bench_subs COMMAND bench_subs 1000)
