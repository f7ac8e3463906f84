# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# cmake -D SOURCE=... -D LIBRARY=... -D OUTPUT=... -P stamp.cmake
# Says beside the library which commit it was built from: where it runs there may be no git.
set(commit "")
set(dirty "null")
find_program(git git)
if(git)
  execute_process(
    COMMAND ${git} rev-parse HEAD
    WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE commit
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(
    COMMAND ${git} status --porcelain --untracked-files=normal
    WORKING_DIRECTORY ${SOURCE}
    RESULT_VARIABLE failed
    OUTPUT_VARIABLE changed
    ERROR_QUIET)
  if(NOT failed)
    set(dirty "false")
    if(changed)
      set(dirty "true")
    endif()
  endif()
endif()
file(SHA256 ${LIBRARY} hash)
file(WRITE ${OUTPUT}.new "{\"commit\": \"${commit}\", \"dirty\": ${dirty}, \"compiler\": \"${COMPILER}\", \
\"architecture\": \"${ARCHITECTURE}\", \"library_sha256\": \"${hash}\"}\n")
file(COPY_FILE ${OUTPUT}.new ${OUTPUT} ONLY_IF_DIFFERENT)
file(REMOVE ${OUTPUT}.new)
