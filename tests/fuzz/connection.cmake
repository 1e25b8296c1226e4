# SPDX-License-Identifier: Apache-2.0
# Whole connections against shards without threads; see README.md.
add_library(connection_rig STATIC fuzz/shard_rig.c fuzz/client.c fuzz/client_got.c fuzz/world.c fuzz/packets.c
            fuzz/asks.c fuzz/script.c fuzz/script_mutate.c)
target_include_directories(connection_rig PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(connection_rig PUBLIC ll_shard ll_store)
# The rig counts blocks of memory, and has descriptors of its own: everybody's calls go through it.
foreach(call malloc calloc realloc aligned_alloc free eventfd timerfd_create epoll_create1 epoll_ctl close heap_used)
  target_link_options(connection_rig PUBLIC -Wl,--wrap=${call})
endforeach()

add_executable(replay_connection fuzz/replay_connection.c)
target_link_libraries(replay_connection PRIVATE connection_rig)
if(LONGLINK_FUZZ)
  # What the search is to reach is the broker, and not what plays its clients.
  set_source_files_properties(fuzz/shard_rig.c fuzz/asks.c fuzz/world.c fuzz/packets.c fuzz/script.c fuzz/script_mutate.c
                              PROPERTIES COMPILE_OPTIONS -fno-sanitize=fuzzer-no-link)
  add_executable(fuzz_connection fuzz/fuzz_connection.c)
  target_link_options(fuzz_connection PRIVATE -fsanitize=fuzzer)
  target_link_libraries(fuzz_connection PRIVATE connection_rig)
else()
  add_test(NAME fuzz_connection
           COMMAND replay_connection ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/connection.txt 40000)
endif()

# Time is the rig's.
add_executable(test_admission unit/test_admission.c)
target_link_libraries(test_admission PRIVATE connection_rig ll_test_kit)
add_test(NAME unit_admission COMMAND test_admission)

add_executable(test_parts unit/test_parts.c)
target_link_libraries(test_parts PRIVATE connection_rig ll_test_kit)
add_test(NAME unit_parts COMMAND test_parts)

unit_test(share_of_turn shard store)
target_link_libraries(test_share_of_turn PRIVATE connection_rig)
unit_test(late shard store)
target_link_libraries(test_late PRIVATE connection_rig)

unit_test(shard_reads shard store)
target_sources(test_shard_reads PRIVATE unit/reads_rig.c)
target_link_libraries(test_shard_reads PRIVATE connection_rig)
unit_test(shard_plugin_publish shard store)
target_sources(test_shard_plugin_publish PRIVATE unit/reads_rig.c)
target_link_libraries(test_shard_plugin_publish PRIVATE connection_rig)

foreach(name shard_login shard_parked shard_parked_past shard_heir shard_will shard_memory shard_arrival keepalive_way)
  unit_test(${name} access)
  target_sources(test_${name} PRIVATE unit/hook_kit.c)
  target_link_libraries(test_${name} PRIVATE connection_rig)
endforeach()
