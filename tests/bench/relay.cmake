# SPDX-License-Identifier: Apache-2.0
# Not a test: bench/compare runs it beside brokers.
add_executable(relay bench/relay.c)
target_link_libraries(relay PRIVATE ll_codec ll_base)
