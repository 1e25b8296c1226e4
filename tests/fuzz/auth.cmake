# SPDX-License-Identifier: Apache-2.0
# As fuzz.cmake, for plugins/auth.
foreach(name jwt scram)
  if(LONGLINK_FUZZ)
    add_executable(fuzz_${name} fuzz/fuzz_${name}.c)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${name} PRIVATE any_packet ll_auth)
  else()
    add_executable(replay_${name} fuzz/fuzz_${name}.c fuzz/replay.c)
    target_link_libraries(replay_${name} PRIVATE any_packet ll_auth)
    add_test(NAME fuzz_${name}
             COMMAND replay_${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name} 20000)
  endif()
endforeach()
