# SPDX-License-Identifier: Apache-2.0
# One suite for each interface that has several implementations; it runs for each of them.
add_library(contract_kit STATIC contract/journal_rig.c contract/on_disk.c contract/fake_order.c)
target_link_libraries(contract_kit PUBLIC ll_test_kit ll_store ll_store_sqlite)

add_executable(journal_contract contract/journal_contract.c contract/journal_limits.c
               contract/journal_mids.c contract/journal_ids.c contract/journal_qos2.c contract/journal_move.c)
target_link_libraries(journal_contract PRIVATE contract_kit)
add_test(NAME contract_journal COMMAND journal_contract)

add_executable(journal_replicated contract/journal_replicated.c contract/journal_behind.c contract/model.c
               contract/trial.c contract/trial_commands.c)
target_link_libraries(journal_replicated PRIVATE contract_kit)
add_test(NAME contract_replicated COMMAND journal_replicated)

add_library(transport_rig STATIC contract/transport_rig.c)
target_link_libraries(transport_rig PUBLIC ll_test_kit ll_net PRIVATE tls_kit)
add_executable(transport_contract contract/transport_contract.c)
target_link_libraries(transport_contract PRIVATE transport_rig)
add_test(NAME contract_transport COMMAND transport_contract)

add_executable(test_ws unit/test_ws.c)
target_link_libraries(test_ws PRIVATE transport_rig)
add_test(NAME unit_ws COMMAND test_ws)

# ThreadSanitizer makes minutes of the first one, and whatever else the machine does more of them.
set_tests_properties(contract_journal contract_replicated contract_transport PROPERTIES TIMEOUT 1200)
