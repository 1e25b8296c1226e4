# SPDX-License-Identifier: Apache-2.0
unit_test(backlog store)
unit_test(record store)
unit_test(db store_sqlite)
unit_test(store_disk store_sqlite)
