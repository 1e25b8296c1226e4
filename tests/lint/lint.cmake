# SPDX-License-Identifier: Apache-2.0
# The rules of docs/HACKING.md that a machine can check. By hand: tests/lint/run [BUILD_FOLDER]
find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_executable(longlink-docs lint/docs_gen.c)
target_link_libraries(longlink-docs PRIVATE ll_config ll_log ll_metrics ll_sys ll_auth)

set(lint_dir ${CMAKE_CURRENT_SOURCE_DIR}/lint)
add_test(NAME lint_deps COMMAND ${Python3_EXECUTABLE} ${lint_dir}/deps.py)
add_test(NAME lint_tidy COMMAND ${Python3_EXECUTABLE} ${lint_dir}/tidy.py)
add_test(NAME lint_rows COMMAND ${Python3_EXECUTABLE} ${lint_dir}/rows.py)
add_test(NAME lint_threats COMMAND ${Python3_EXECUTABLE} ${lint_dir}/threats.py)
add_test(NAME lint_generated COMMAND ${Python3_EXECUTABLE} ${lint_dir}/generated.py $<TARGET_FILE:longlink-docs>)
add_test(NAME lint_selftest COMMAND ${Python3_EXECUTABLE} ${lint_dir}/selftest.py)
set_tests_properties(lint_deps lint_tidy lint_rows lint_threats lint_generated lint_selftest PROPERTIES LABELS lint)
