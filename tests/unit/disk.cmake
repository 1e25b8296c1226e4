# SPDX-License-Identifier: Apache-2.0
unit_test(backlog store)
unit_test(record store)

add_library(db_kit STATIC unit/db_kit.c)
target_include_directories(db_kit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(db_kit PUBLIC ll_store_sqlite ll_test_kit)
foreach(name db db_boot store_sqlite_disk)
  unit_test(${name} store_sqlite)
  target_link_libraries(test_${name} PRIVATE db_kit)
endforeach()

unit_test(store_disk store_sqlite)
unit_test(origins store_sqlite)
if(LONGLINK_FAILPOINTS OR LONGLINK_SANITIZE)
  unit_test(fold_slices store_sqlite)
endif()
unit_test(space store_sqlite)
unit_test(backup store_sqlite)
