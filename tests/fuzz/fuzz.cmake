# SPDX-License-Identifier: Apache-2.0
add_library(any_packet STATIC fuzz/any_packet.c)
target_include_directories(any_packet PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(any_packet PUBLIC ll_codec)
