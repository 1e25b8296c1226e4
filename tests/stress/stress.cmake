# SPDX-License-Identifier: Apache-2.0
# Random clients against many shards; under whatever sanitizer the build has. Longer, and with new seeds, by hand or from tests/long:
#   tests/stress/stress BUILD/bin/longlinkd --rounds 100 --operations 10000
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(stress ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/stress/stress $<TARGET_FILE:longlinkd>)

add_test(NAME stress_small COMMAND ${stress} --seed 1 --rounds 4 --operations 3000)
add_test(NAME stress_two_shards COMMAND ${stress} --seed 1 --rounds 2 --operations 3000 --shards 2 --durability memory)
set_tests_properties(stress_small stress_two_shards PROPERTIES TIMEOUT 1200 LABELS stress)
