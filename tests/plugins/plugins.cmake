# SPDX-License-Identifier: Apache-2.0
# Plugins for tests. Without sanitizers, so that mosquitto loads them too.
function(test_plugin name)
  add_library(plugin_${name} MODULE ${CMAKE_CURRENT_SOURCE_DIR}/plugins/${name}.c)
  set_target_properties(plugin_${name} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/test
    COMPILE_OPTIONS "-g;-O1;-Wall;-Wextra;-fvisibility=hidden" LINK_OPTIONS "")
endfunction()

test_plugin(abuse)
test_plugin(newer)
test_plugin(restless)
test_plugin(transcript)
test_plugin(rigged)
target_include_directories(plugin_rigged PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
foreach(name hanging hostile refused_old refused_new refused_half refused_none)
  test_plugin(${name})
endforeach()
test_plugin(ext)
target_include_directories(plugin_ext PRIVATE ${CMAKE_SOURCE_DIR}/broker/include)
target_link_libraries(plugin_ext PRIVATE crypto)
test_plugin(slow)
target_include_directories(plugin_slow PRIVATE ${CMAKE_SOURCE_DIR}/broker/include)
