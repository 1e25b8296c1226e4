# SPDX-License-Identifier: Apache-2.0
# As fuzz.cmake, for what the journal finds on the disk. Opening a directory takes longer than decoding a packet.
set(fuzz_wal_mutations 20000)
if(LONGLINK_FUZZ)
  add_executable(fuzz_wal fuzz/fuzz_wal.c)
  target_link_options(fuzz_wal PRIVATE -fsanitize=fuzzer)
  target_link_libraries(fuzz_wal PRIVATE wal_disk)
else()
  add_executable(replay_wal fuzz/fuzz_wal.c fuzz/replay.c)
  target_link_libraries(replay_wal PRIVATE wal_disk)
  add_test(NAME fuzz_wal COMMAND replay_wal ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/wal ${fuzz_wal_mutations})
endif()
