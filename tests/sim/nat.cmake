# SPDX-License-Identifier: Apache-2.0
# The learner of keepalives on simulated networks. By hand: tests/sim/nat --help; all of it: tests/long nat.
add_executable(sim_nat sim/nat.c sim/nat_world.c sim/nat_client.c sim/nat_broker.c sim/nat_rules.c)
target_include_directories(sim_nat PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(sim_nat PRIVATE ll_keepalive m)

# A few seeds of each scenario, with its bounds. The whole: tests/long nat.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME sim_nat COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/tables.py --quick $<TARGET_FILE:sim_nat>)
set_tests_properties(sim_nat PROPERTIES TIMEOUT 300)

unit_test(learn keepalive)
unit_test(classify keepalive)
unit_test(prior keepalive)
unit_test(ka_table keepalive)
unit_test(keepalive keepalive)
