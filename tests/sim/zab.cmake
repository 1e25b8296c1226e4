# SPDX-License-Identifier: Apache-2.0
# The consensus core under a virtual clock: docs/zab-sim.md. By hand: build/bin/longlink-sim --help; all of it:
# tests/long zab, tests/long zab-plants.

set(zab_sim_sources "")
foreach(part act check disk driver net node oracle phase plan shrink sim snap world)
  list(APPEND zab_sim_sources sim/zab_${part}.c)
endforeach()

# What a seed finds does not depend on a sanitizer, but how many seeds a minute has does: simulator and core are
# built without one for these, and once more with it, for a few.
set(zab_sim_fast -O2 -fno-sanitize=all)
get_target_property(zab_sim_core ll_zab SOURCES)
get_target_property(zab_sim_wire ll_cluster_wire SOURCES)
add_library(ll_zab_fast STATIC ${zab_sim_core})
target_include_directories(ll_zab_fast PUBLIC ${CMAKE_SOURCE_DIR}/plugins/cluster)
target_link_libraries(ll_zab_fast PUBLIC ll_base)
target_compile_options(ll_zab_fast PRIVATE ${zab_sim_fast})
target_compile_options(ll_zab_planted PRIVATE ${zab_sim_fast})

function(zab_sim name core plants)
  add_executable(${name} ${zab_sim_sources} ${zab_sim_wire} sim/zab_plants_${plants}.c)
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${core})
endfunction()

zab_sim(longlink-sim ll_zab_fast off)
target_compile_options(longlink-sim PRIVATE ${zab_sim_fast})
zab_sim(longlink-sim-planted ll_zab_planted on)
target_compile_options(longlink-sim-planted PRIVATE ${zab_sim_fast})

add_test(NAME sim_zab_small COMMAND longlink-sim --seed 1 --runs 5000 --keep zab-small.script)
add_test(NAME sim_zab_swarm COMMAND longlink-sim --swarm --seed 1 --runs 200 --keep zab-swarm.script)
add_test(NAME sim_zab_twice COMMAND longlink-sim --twice --seed 100001 --runs 200 --keep zab-twice.script)
set_tests_properties(sim_zab_small sim_zab_swarm sim_zab_twice PROPERTIES TIMEOUT 300)

if(LONGLINK_SANITIZE)
  zab_sim(longlink-sim-sanitized ll_zab off)
  add_test(NAME sim_zab_sanitized COMMAND longlink-sim-sanitized --seed 200001 --runs 1000 --keep zab-sanitized.script)
  add_test(NAME sim_zab_sanitized_swarm
           COMMAND longlink-sim-sanitized --swarm --seed 200001 --runs 20 --keep zab-sanitized-swarm.script)
endif()

# Runs that once failed, each cut down to what it needs.
file(GLOB zab_scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/scripts/*.script)
foreach(script IN LISTS zab_scripts)
  get_filename_component(name ${script} NAME_WE)
  add_test(NAME sim_zab_script_${name} COMMAND longlink-sim --script ${script})
endforeach()

# The checker is checked: faults that are found within few runs. All of them: tests/long zab-plants.
add_test(NAME sim_zab_plants COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/zab_plants.py --quick
         $<TARGET_FILE:longlink-sim-planted>)
set_tests_properties(sim_zab_plants PROPERTIES TIMEOUT 300)
