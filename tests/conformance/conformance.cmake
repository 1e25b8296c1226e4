# SPDX-License-Identifier: Apache-2.0
# mtc, the scenario runner, and the scenarios against ourselves and against Debian's mosquitto.

add_executable(mtc kit/main.c)
target_link_libraries(mtc PRIVATE ll_test_kit)
target_link_options(mtc PRIVATE LINKER:--as-needed) # it needs nothing of cmocka, which the kit brings along

set(conformance_run ${CMAKE_CURRENT_SOURCE_DIR}/conformance/run $<TARGET_FILE:mtc>)
find_program(MOSQUITTO mosquitto PATHS /usr/sbin /usr/local/sbin NO_CACHE)

add_test(NAME conformance_longlinkd COMMAND ${conformance_run} longlinkd $<TARGET_FILE:longlinkd>)
add_test(NAME conformance_mosquitto COMMAND ${conformance_run} mosquitto ${MOSQUITTO})
set_tests_properties(conformance_longlinkd conformance_mosquitto PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
