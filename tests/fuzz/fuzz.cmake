# SPDX-License-Identifier: Apache-2.0
# Fuzz targets. In every test run each one replays its corpus and a fixed number of mutations of it, with any
# compiler. To search for more, with clang:
#
#   CC=clang cmake -S . -B build/fuzz -DLONGLINK_FUZZ=ON -DLONGLINK_SANITIZE=address
#   cmake --build build/fuzz --target fuzz_publish fuzz_dictionary
#   build/fuzz/bin/fuzz_publish -dict=build/fuzz/mqtt.dict -max_total_time=60 FOLDER tests/fuzz/corpus/publish
#
# New inputs go to FOLDER; what is worth keeping goes to the corpus, under a name that says what it is.

add_library(any_packet STATIC fuzz/any_packet.c)
target_include_directories(any_packet PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(any_packet PUBLIC ll_codec)

set(fuzz_mutations 200000)

function(fuzz_target name)
  if(LONGLINK_FUZZ)
    add_executable(fuzz_${name} fuzz/fuzz_${name}.c)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${name} PRIVATE any_packet ll_topic)
  else()
    add_executable(replay_${name} fuzz/fuzz_${name}.c fuzz/replay.c)
    target_link_libraries(replay_${name} PRIVATE any_packet ll_topic)
    add_test(NAME fuzz_${name}
             COMMAND replay_${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name} ${fuzz_mutations})
  endif()
endfunction()

foreach(name frame connect publish ack subscribe session_end props topic)
  fuzz_target(${name})
endforeach()

foreach(name proxy ws ws_http)
  fuzz_target(${name})
  if(LONGLINK_FUZZ)
    target_link_libraries(fuzz_${name} PRIVATE ll_net)
  else()
    target_link_libraries(replay_${name} PRIVATE ll_net)
  endif()
endforeach()

add_executable(dictionary fuzz/dictionary.c)
target_link_libraries(dictionary PRIVATE ll_codec)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/mqtt.dict
                   COMMAND dictionary > ${CMAKE_BINARY_DIR}/mqtt.dict
                   DEPENDS dictionary)
add_custom_target(fuzz_dictionary DEPENDS ${CMAKE_BINARY_DIR}/mqtt.dict)
