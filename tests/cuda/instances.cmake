# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# Reads instances.txt. For every backend: <cuda/pairwise_list.hpp>. For CUDA: a source for each
# instance (pairwise_sources, shared_sources), and <cuda/instances.cuh>, which keeps everyone else
# from making them again.

set(tka_generated_tests ${CMAKE_CURRENT_BINARY_DIR}/generated)
option(TKA_CUDA_SHARED_INSTANCES "Compile what CUDA tests share once; OFF: each test compiles what it uses" ON)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/instances.txt)

set(declarations "#pragma once\n\n#include <support/backend.hpp>\n\nnamespace support {\n")
set(combinations "")
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/instances.txt lines REGEX "^(pairwise|shared) ")
foreach(line IN LISTS lines)
  if(NOT line MATCHES "^([a-z]+) ([a-z_]+) *([^|]*[^| ])? *[|] *([^|]*[^| ]) *[|] *(.*)$")
    message(FATAL_ERROR "instances.txt: cannot read '${line}'")
  endif()
  set(kind ${CMAKE_MATCH_1})
  set(call ${CMAKE_MATCH_2})
  set(types "${CMAKE_MATCH_4}, ${CMAKE_MATCH_5}")
  set(all_types "${types}")
  if(CMAKE_MATCH_3)
    set(all_types "${CMAKE_MATCH_3}, ${types}")
  endif()
  string(MD5 hash "${line}")
  string(SUBSTRING ${hash} 0 8 hash)
  set(name ${call}_${hash})
  set(alias "using ${name} = ${call}_call<${all_types}>;\n")
  set(declaration "template tka::status enqueue(${name} const&, tka::plan const&, ${name}::tensors const&, tka::workspace const&, cudaStream_t);\n")
  string(APPEND declarations "${alias}extern ${declaration}")
  set(source ${tka_generated_tests}/${kind}_${name}.cu)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include <support/backend.hpp>\n\nnamespace support {\n${alias}${declaration}}\n")
  list(APPEND ${kind}_sources ${source})
  if(kind STREQUAL pairwise)
    string(APPEND combinations "  visit(support::combination<${all_types}>{});\n")
  endif()
endforeach()
if(NOT TKA_CUDA_SHARED_INSTANCES)
  set(declarations "#pragma once\n\n#include <support/backend.hpp>\n\nnamespace support {\n")
endif()
file(CONFIGURE OUTPUT ${tka_generated_tests}/cuda/instances.cuh CONTENT "${declarations}}\n")
file(CONFIGURE OUTPUT ${tka_generated_tests}/cuda/pairwise_list.hpp
     CONTENT "#pragma once\n\n#include <support/combination.hpp>\n\n/// Calls visit(combination) for each line of the list.\ntemplate <class Visitor>\nvoid each_combination(Visitor const& visit) {\n${combinations}}\n")
