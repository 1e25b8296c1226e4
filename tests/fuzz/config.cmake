# SPDX-License-Identifier: Apache-2.0
# As fuzz.cmake, for broker/config.
if(LONGLINK_FUZZ)
  add_executable(fuzz_config fuzz/fuzz_config.c)
  target_link_options(fuzz_config PRIVATE -fsanitize=fuzzer)
  target_link_libraries(fuzz_config PRIVATE any_packet ll_config)
else()
  add_executable(replay_config fuzz/fuzz_config.c fuzz/replay.c)
  target_link_libraries(replay_config PRIVATE any_packet ll_config)
  add_test(NAME fuzz_config COMMAND replay_config ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/config 5000)
endif()
