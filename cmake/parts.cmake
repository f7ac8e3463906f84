# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# tka_has_packages(PART package...): sets tka_builds_PART, where TKA_BUILD_PART asks for it and the packages are
# found (`tka::cpu` among them: what that links). Without one, AUTO leaves the part out with a message and ON
# is an error: a header-only library is installed without what its tests need.
function(tka_has_packages part)
  set(tka_builds_${part} OFF PARENT_SCOPE)
  if(NOT TKA_BUILD_${part})
    return()
  endif()
  set(problem "")
  foreach(package IN LISTS ARGN)
    if(package STREQUAL "tka::cpu")
      if(tka_cpu_problem)
        set(problem "${tka_cpu_problem}")
      endif()
    else()
      find_package(${package} QUIET)
      if(NOT ${package}_FOUND)
        set(problem "${package} was not found")
      endif()
    endif()
  endforeach()
  string(TOLOWER ${part} name)
  if(NOT problem)
    set(tka_builds_${part} ON PARENT_SCOPE)
  elseif(TKA_BUILD_${part} STREQUAL "AUTO")
    message(STATUS "tka: no ${name} here, ${problem}")
  else()
    message(FATAL_ERROR "tka: TKA_BUILD_${part} is ON, and ${problem}")
  endif()
endfunction()
