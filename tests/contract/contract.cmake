# SPDX-License-Identifier: Apache-2.0
# One suite for each interface that has several implementations; it runs for each of them.
add_executable(journal_contract contract/journal_contract.c contract/journal_limits.c contract/journal_rig.c
  contract/fake_order.c)
target_link_libraries(journal_contract PRIVATE ll_test_kit ll_store ll_store_sqlite)
add_test(NAME contract_journal COMMAND journal_contract)
