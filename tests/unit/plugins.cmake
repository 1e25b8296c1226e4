# SPDX-License-Identifier: Apache-2.0
foreach(name grants secret)
  unit_test(accounts_${name} accounts)
endforeach()
unit_test(accounts accounts)
unit_test(accounts_db accounts)

foreach(name devices http identity json jwt login options people pool scram)
  unit_test(auth_plugin_${name} auth)
endforeach()
