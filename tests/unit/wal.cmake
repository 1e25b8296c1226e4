# SPDX-License-Identifier: Apache-2.0
add_library(wal_disk STATIC unit/wal_disk.c)
target_include_directories(wal_disk PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(wal_disk PUBLIC ll_wal)

foreach(name wal wal_crash wal_damage)
  unit_test(${name} wal)
  target_link_libraries(test_${name} PRIVATE wal_disk)
endforeach()
target_link_options(test_wal PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
unit_test(wal_crc32c wal)
