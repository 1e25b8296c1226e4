# SPDX-License-Identifier: Apache-2.0
unit_test(mosquitto_db client_cli)
unit_test(fresh store_sqlite)
target_include_directories(test_fresh PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
