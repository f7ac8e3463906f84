# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# cmake -D compiler=... -D source=... -D include=... -D system_include=... -P check.cmake

set(flags -std=c++20 -fsyntax-only -fmessage-length=0)
foreach(directory IN LISTS include)
  list(APPEND flags -I${directory})
endforeach()
foreach(directory IN LISTS system_include)
  list(APPEND flags -isystem ${directory})
endforeach()
set(ENV{LC_ALL} C)

# A semicolon would end an element of a list, and a long message would be wrapped.
function(fail text)
  string(REPLACE "<semicolon>" ";" text "${text}")
  message(NOTICE "${source}: ${text}")
  message(FATAL_ERROR " failed")
endfunction()

file(READ ${source} text)
string(REPLACE ";" "<semicolon>" text "${text}")
string(REGEX MATCHALL "// expect: [^\n]+" sentences "${text}")
if(NOT sentences)
  fail("no '// expect: ' line")
endif()
list(TRANSFORM sentences REPLACE "^// expect: " "")

execute_process(COMMAND ${compiler} ${flags} ${source} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
if(NOT result STREQUAL "0")
  fail("the twin does not compile\n${out}")
endif()

execute_process(COMMAND ${compiler} ${flags} -DTKA_EXPECT_FAIL ${source} RESULT_VARIABLE result
                OUTPUT_VARIABLE out ERROR_VARIABLE out)
if(result STREQUAL "0")
  fail("the wrong use compiles")
endif()
string(REPLACE ";" "<semicolon>" out "${out}")
string(REGEX MATCHALL "[^\n]*error:[^\n]*" errors "${out}")
list(GET errors 0 first_error)
list(POP_FRONT sentences first_sentence)
string(FIND "${first_error}" "${first_sentence}" found)
if(found EQUAL -1)
  fail("the first error is not '${first_sentence}'\n${out}")
endif()
foreach(sentence IN LISTS sentences)
  string(FIND "${errors}" "${sentence}" found)
  if(found EQUAL -1)
    fail("no error says '${sentence}'\n${out}")
  endif()
endforeach()
