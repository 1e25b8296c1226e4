# SPDX-License-Identifier: Apache-2.0
# As fuzz.cmake, for a file of mosquitto's.
set(fuzz_import_mutations 50000)
if(LONGLINK_FUZZ)
  add_executable(fuzz_mosquitto_db fuzz/fuzz_mosquitto_db.c)
  target_include_directories(fuzz_mosquitto_db PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_options(fuzz_mosquitto_db PRIVATE -fsanitize=fuzzer)
  target_link_libraries(fuzz_mosquitto_db PRIVATE ll_client_cli)
else()
  add_executable(replay_mosquitto_db fuzz/fuzz_mosquitto_db.c fuzz/replay.c)
  target_include_directories(replay_mosquitto_db PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(replay_mosquitto_db PRIVATE ll_client_cli)
  add_test(NAME fuzz_mosquitto_db COMMAND replay_mosquitto_db ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/mosquitto_db
                                          ${fuzz_import_mutations})
endif()
