# SPDX-License-Identifier: Apache-2.0
# Not a test: run bin/bench_subs by hand.
add_executable(bench_subs bench/bench_subs.c)
target_link_libraries(bench_subs PRIVATE ll_subs ll_topic)
