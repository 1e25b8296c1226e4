# SPDX-License-Identifier: Apache-2.0
# The learner of keepalives on simulated networks. By hand: tests/sim/nat --help; all of it: tests/long nat.
add_executable(sim_nat sim/nat.c sim/nat_world.c sim/nat_client.c sim/nat_broker.c sim/nat_rules.c)
target_include_directories(sim_nat PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(sim_nat PRIVATE ll_keepalive m)
