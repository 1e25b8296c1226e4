# SPDX-License-Identifier: Apache-2.0
# The broker's own modules above the kit.
unit_test(session session)
