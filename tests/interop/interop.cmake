# SPDX-License-Identifier: Apache-2.0
# Clients that people use, of all versions; see interop/README.md.
find_program(E2E_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
find_path(PAHO_INCLUDE MQTTAsync.h)
find_library(PAHO_CLIENT paho-mqtt3c)
find_library(PAHO_ASYNC paho-mqtt3a)

# peer(NAME LIBRARY): a program around one of paho's libraries. They are not built for a sanitizer, nor is it.
function(peer name library)
  add_executable(peer_${name} interop/peer.c interop/peer_${name}.c)
  target_include_directories(peer_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_options(peer_${name} PRIVATE -fno-sanitize=all)
  target_link_options(peer_${name} PRIVATE -fno-sanitize=all)
  target_link_libraries(peer_${name} PRIVATE ${library})
endfunction()

if(PAHO_INCLUDE AND PAHO_CLIENT AND PAHO_ASYNC)
  peer(client ${PAHO_CLIENT})
  peer(async ${PAHO_ASYNC})
endif()

# interop_test(NAME)
function(interop_test name)
  add_test(NAME interop_${name} COMMAND ${E2E_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/interop/test_${name}.py)
  set_tests_properties(interop_${name} PROPERTIES TIMEOUT 1200 LABELS interop
                       ENVIRONMENT "LONGLINKD=$<TARGET_FILE:longlinkd>;LONGLINK_SANITIZE=${LONGLINK_SANITIZE}")
endfunction()

interop_test(mosquitto)
interop_test(peers)
interop_test(websocket)
interop_test(cuts)
interop_test(auth)
