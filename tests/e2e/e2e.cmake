# SPDX-License-Identifier: Apache-2.0
# Real processes and real clients. Debian's python3 has python3-paho-mqtt.
find_program(E2E_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

# e2e_test(NAME TIMEOUT_S)
function(e2e_test name timeout_s)
  add_test(NAME e2e_${name} COMMAND ${E2E_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_${name}.py)
  set_tests_properties(e2e_${name} PROPERTIES TIMEOUT ${timeout_s} LABELS "e2e;threads"
                       ENVIRONMENT "LONGLINKD=$<TARGET_FILE:longlinkd>;LONGLINK_SANITIZE=${LONGLINK_SANITIZE}")
endfunction()

e2e_test(start 120)
e2e_test(offline 240)
e2e_test(takeover 120)
e2e_test(retained 240)
e2e_test(duplicates 120)
e2e_test(keepalive 120)
e2e_test(slow_reader 240)
e2e_test(max_connections 120)
e2e_test(big_payload 240)
e2e_test(limits 120)
e2e_test(hostile 300)
e2e_test(interop 240)
e2e_test(kill9 120)
e2e_test(store_start 240)
e2e_test(disk_full 240)
e2e_test(backup 240)
e2e_test(wills 120)
e2e_test(subscription_ids 120)
