# SPDX-License-Identifier: Apache-2.0
foreach(name rd wr reason frame props connect publish ack subscribe session_end)
  unit_test(codec_${name} codec)
  target_link_libraries(test_codec_${name} PRIVATE any_packet)
endforeach()

unit_test(topic topic)

unit_test(wheel wheel)
target_link_options(test_wheel PRIVATE -Wl,--wrap=calloc) # to let one allocation fail
