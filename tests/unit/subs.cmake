# SPDX-License-Identifier: Apache-2.0
# The shared index, retained messages, and what they stand on.
unit_test(subs subs topic)
target_link_options(test_subs PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc)
unit_test(subs_threads subs topic)
unit_test(retained retained msg topic)
unit_test(base base)
unit_test(bucket base)
unit_test(map base)
unit_test(failpoint base)
target_link_options(test_map PRIVATE -Wl,--wrap=calloc)
unit_test(mailbox base)
unit_test(epoch base)
unit_test(msg msg)
