# SPDX-License-Identifier: Apache-2.0
unit_test(bench_conf client_cli)
unit_test(bench_flow client_cli)
unit_test(bench_hist client_cli)
unit_test(bench_track client_cli)

# The tool against Debian's mosquitto; skipped where that is not installed.
add_test(NAME bench_smoke COMMAND ${CMAKE_CURRENT_LIST_DIR}/smoke.py $<TARGET_FILE:longlink>)
set_tests_properties(bench_smoke PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1200)
