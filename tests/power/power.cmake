# SPDX-License-Identifier: Apache-2.0
# Losses of power and faults of the disk, by a library that is preloaded into the broker; see power/README.md.
add_library(power SHARED power/calls.c power/control.c power/trace.c)
target_include_directories(power PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
# It stands in for the C library's calls, below a sanitizer's.
target_compile_options(power PRIVATE -fno-sanitize=all -fno-profile-arcs -fno-test-coverage -U_FORTIFY_SOURCE)
target_link_options(power PRIVATE -fno-sanitize=all)

find_program(E2E_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

# power_test(NAME FILE)
function(power_test name file)
  add_test(NAME power_${name} COMMAND ${E2E_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/power/${file})
  set_tests_properties(power_${name} PROPERTIES TIMEOUT 1200 LABELS power
                       ENVIRONMENT "LONGLINKD=$<TARGET_FILE:longlinkd>;LONGLINK_POWER=$<TARGET_FILE:power>;LONGLINK_SANITIZE=${LONGLINK_SANITIZE}")
endfunction()

power_test(layer test_layer.py)
power_test(cycles test_power.py)
power_test(planted test_planted.py)
power_test(faults test_faults.py)
power_test(clock test_clock.py)
power_test(zab test_zab.py)
set_property(TEST power_zab APPEND PROPERTY ENVIRONMENT "ZAB_NODE=$<TARGET_FILE:zab-node>")
