# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# cmake -D "sources=area/a_test.cpp;area/b_test.cpp" -D folder=... -D output=... -P together.cmake
#
# Several tests as one translation unit: what they include comes first, then each in a namespace of its own,
# where its includes have nothing left to do. So no file knows of the names of another.

set(includes "")
set(bodies "")
foreach(source IN LISTS sources)
  file(STRINGS ${folder}/${source} lines REGEX "^#include ")
  cmake_path(GET source PARENT_PATH area)
  list(TRANSFORM lines REPLACE "\"(.*)\"" "<${area}/\\1>") # beside the test
  list(APPEND includes ${lines})
  string(MAKE_C_IDENTIFIER ${source} name)
  string(APPEND bodies "namespace ${name} {\n#include \"${folder}/${source}\"\n}\n")
endforeach()
list(REMOVE_DUPLICATES includes)
list(JOIN includes "\n" includes)
file(WRITE ${output} "${includes}\n\n${bodies}")
