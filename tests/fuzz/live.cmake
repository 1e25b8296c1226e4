# SPDX-License-Identifier: Apache-2.0
# Mutated sequences of packets to a longlinkd that runs. For more: tests/fuzz/live SECONDS SEED
find_program(E2E_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

add_test(NAME fuzz_live COMMAND ${E2E_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/live 10 1)
set_tests_properties(fuzz_live PROPERTIES TIMEOUT 600 LABELS "threads"
                     ENVIRONMENT "LONGLINKD=$<TARGET_FILE:longlinkd>")
