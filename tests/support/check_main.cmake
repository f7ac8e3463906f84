# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# cmake -D program=<support_main_cases> -P check_main.cmake

# Runs `program` with the arguments after `texts`; each of `texts` must be in its output.
function(expect outcome texts)
  execute_process(COMMAND ${program} ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(outcome STREQUAL "passes" AND NOT result STREQUAL "0")
    message(SEND_ERROR "${ARGN}: should pass, gave '${result}'\n${out}")
  elseif(outcome STREQUAL "fails" AND (result STREQUAL "0" OR result STREQUAL "77"))
    message(SEND_ERROR "${ARGN}: should fail, gave '${result}'\n${out}")
  elseif(outcome STREQUAL "skips" AND NOT result STREQUAL "77")
    message(SEND_ERROR "${ARGN}: should be skipped, gave '${result}'\n${out}")
  endif()
  foreach(text IN LISTS texts)
    string(FIND "${out}" "${text}" found)
    if(found EQUAL -1)
      message(SEND_ERROR "${ARGN}: no '${text}' in\n${out}")
    endif()
  endforeach()
  set(output "${out}" PARENT_SCOPE)
endfunction()

set(ENV{TKA_TEST_SEED} 42)
unset(ENV{TKA_TEST_FAST})

expect(passes "" --test-case=good)
expect(passes "" --test-case=same*,between*)
expect(passes "good" --list-test-cases)
expect(skips "" --test-case=skipped)
expect(passes "" --test-case=skipped --no-skip)

expect(fails "no test case matches" --test-case=nonexistent)
expect(fails "no test case matches" --test-suite=nonexistent)
expect(fails "'empty' ran without an assertion;repro: TKA_TEST_SEED=42" --test-case=empty)
expect(fails "'empty' ran without an assertion" --test-case=good,empty)
expect(fails "thrown;repro: TKA_TEST_SEED=42" --test-case=throws)
expect(fails "repro: TKA_TEST_SEED=42" --test-case=crashes)
expect(fails "repro: TKA_TEST_SEED=42;stream 'bad' after 1 draws" --test-case=bad*)

# The line printed by the last run, given to a shell, fails in the same way.
string(REGEX MATCH "repro: ([^\n]+)" line "${output}")
execute_process(COMMAND sh -c "${CMAKE_MATCH_1}" RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
string(FIND "${out}" "stream 'bad' after 1 draws" found)
if(result STREQUAL "0" OR found EQUAL -1)
  message(SEND_ERROR "the repro line '${CMAKE_MATCH_1}' gave '${result}'\n${out}")
endif()
