# SPDX-License-Identifier: Apache-2.0
# Not a test: bench/tls.py runs it.
add_executable(bench_tls bench/bench_tls.c)
target_link_libraries(bench_tls PRIVATE ll_base ssl crypto)
