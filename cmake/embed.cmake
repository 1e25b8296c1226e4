# SPDX-License-Identifier: Apache-2.0
# embed_sql(OUT NAME FOLDER HEADER): a C file with an array NAME of the texts of FOLDER's .sql files, in order.
# HEADER declares it.

function(embed_sql out name folder header)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*.sql)
  list(SORT files)
  set(text "/* Made from ${name}'s .sql files. */\n#include \"${header}\"\n\nconst char *const ${name}[] = {\n")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} sql)
    string(REPLACE "\\" "\\\\" sql "${sql}")
    string(REPLACE "\"" "\\\"" sql "${sql}")
    string(REPLACE "\n" "\\n\"\n    \"" sql "${sql}")
    string(APPEND text "    \"${sql}\",\n")
  endforeach()
  string(APPEND text "    NULL,\n};\n")
  file(CONFIGURE OUTPUT ${out} CONTENT "${text}" @ONLY)
endfunction()
