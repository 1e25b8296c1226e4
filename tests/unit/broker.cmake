# SPDX-License-Identifier: Apache-2.0
# The broker's own modules above the kit.
unit_test(share share)
unit_test(shared session)
unit_test(session session)
unit_test(session_shed session)
unit_test(qos2 session)
unit_test(qos2_model session)
unit_test(fence session)
unit_test(net net)
unit_test(ws_frame net)
unit_test(ws_http net)
unit_test(listener net)
unit_test(proxy net)
unit_test(job shard store)
unit_test(offline_ids shard store)
unit_test(due shard)
unit_test(shard_delayed shard store)
unit_test(shard_shares shard store)
unit_test(alias shard)
unit_test(addresses shard)
unit_test(auth shard store)

# Not by unit_test(): the kit has an out_clear of its own, which must not come first.
add_executable(test_out unit/test_out.c)
target_link_libraries(test_out PRIVATE ll_shard ll_test_kit)
add_test(NAME unit_out COMMAND test_out)

unit_test(worker worker)
unit_test(access access topic)

unit_test(heap base)
counts_memory(heap)
if("heap_sanitizer" IN_LIST LONGLINK_LEFT_OUT)
  target_sources(test_heap PRIVATE unit/test_heap_malloc.c)
endif()
# Compilers may leave out an allocation that nobody looks at.
target_compile_options(test_heap PRIVATE -fno-builtin)
unit_test(throttle access)
