# SPDX-License-Identifier: Apache-2.0
# mtc, the scenario runner; the scenarios against ourselves and against Debian's mosquitto; and whether the runner
# notices what is wrong.

add_executable(mtc kit/main.c)
target_link_libraries(mtc PRIVATE ll_test_kit)
target_link_options(mtc PRIVATE LINKER:--as-needed) # it needs nothing of cmocka, which the kit brings along

add_executable(test_mtc_packet conformance/test_mtc_packet.c)
target_link_libraries(test_mtc_packet PRIVATE ll_test_kit)
add_test(NAME unit_mtc_packet COMMAND test_mtc_packet)

set(conformance_dir ${CMAKE_CURRENT_SOURCE_DIR}/conformance)
find_program(MOSQUITTO mosquitto PATHS /usr/sbin /usr/local/sbin)

add_test(NAME conformance_longlinkd
         COMMAND ${conformance_dir}/run $<TARGET_FILE:mtc> longlinkd $<TARGET_FILE:longlinkd>)
# The others, over unix, tls and ws alone, are in tests/long.
add_test(NAME conformance_wss
         COMMAND ${conformance_dir}/run --over wss $<TARGET_FILE:mtc> longlinkd $<TARGET_FILE:longlinkd>)
add_test(NAME conformance_mosquitto
         COMMAND ${conformance_dir}/run $<TARGET_FILE:mtc> mosquitto ${MOSQUITTO})
if(MOSQUITTO)
  add_test(NAME conformance_selftest
           COMMAND ${conformance_dir}/selftest/run $<TARGET_FILE:mtc> mosquitto ${MOSQUITTO})
else()
  add_test(NAME conformance_selftest
           COMMAND ${conformance_dir}/selftest/run $<TARGET_FILE:mtc> longlinkd $<TARGET_FILE:longlinkd>)
endif()
set_tests_properties(conformance_longlinkd conformance_wss conformance_mosquitto conformance_selftest
                     PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1200)
set_property(TEST conformance_mosquitto PROPERTY COST 100) # mosquitto lets it wait

# Each numbered statement of the standards has its scenarios, or a reason why there is none. By hand: coverage.py [--write]
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME lint_coverage COMMAND ${Python3_EXECUTABLE} -B ${conformance_dir}/coverage.py)
add_test(NAME lint_coverage_selftest COMMAND ${Python3_EXECUTABLE} -B ${conformance_dir}/test_coverage.py)
set_tests_properties(lint_coverage lint_coverage_selftest PROPERTIES LABELS lint)
