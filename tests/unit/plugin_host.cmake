# SPDX-License-Identifier: Apache-2.0
# Plugins by their host, without a broker.
foreach(name plugin_host plugin_slow plugin_storm plugin_threads)
  unit_test(${name} plugin)
  target_sources(test_${name} PRIVATE unit/test_plugin_kit.c)
  add_dependencies(test_${name} plugin_rigged plugin_refused_old plugin_refused_new plugin_refused_half plugin_refused_none)
  target_include_directories(test_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(test_${name} PRIVATE TEST_PLUGINS="${CMAKE_BINARY_DIR}/lib/test" RIGGED_SO="${CMAKE_BINARY_DIR}/lib/test/rigged.so")
endforeach()
