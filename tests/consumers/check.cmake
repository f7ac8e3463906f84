# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# cmake -D way=... -D source=... -D build=... -D work=... -D generator=... -D compiler=...
#       -D system_include=... [-D cuda_compiler=... -D cuda_architectures=...] -P check.cmake

file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})

function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${work} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT result STREQUAL "0")
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}: ${result}\n${out}")
  endif()
endfunction()

set(project_of_consumer ${CMAKE_CURRENT_LIST_DIR}/${way})
set(configure ${CMAKE_COMMAND} -G ${generator} -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_BUILD_TYPE=Release)

if(way STREQUAL "find_package" OR way STREQUAL "find_package_cuda")
  if(way STREQUAL "find_package_cuda")
    list(APPEND configure -D CMAKE_CUDA_COMPILER=${cuda_compiler} -D CMAKE_CUDA_ARCHITECTURES=${cuda_architectures})
  endif()
  # The prefix is moved after the installation: the package must not remember where it was made.
  run(${CMAKE_COMMAND} --install ${build} --prefix ${work}/first)
  file(RENAME ${work}/first ${work}/prefix)
  run(${configure} -D CMAKE_PREFIX_PATH=${work}/prefix -S ${project_of_consumer} -B ${work}/build)
  run(${CMAKE_COMMAND} --build ${work}/build)
  run(${work}/build/consumer)
elseif(way STREQUAL "add_subdirectory")
  # Nothing but Eigen may be needed: the packages of tests, examples and benchmarks are hidden.
  foreach(package doctest benchmark CLI11 nlohmann_json)
    list(APPEND configure -D CMAKE_DISABLE_FIND_PACKAGE_${package}=ON)
  endforeach()
  run(${configure} -D tka_source=${source} -S ${project_of_consumer} -B ${work}/build)
  run(${CMAKE_COMMAND} --build ${work}/build)
  run(${work}/build/consumer)
  # tka::tka alone does without Eigen too.
  run(${configure} -D tka_source=${source} -D headers_only=ON -D CMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON -S
      ${project_of_consumer} -B ${work}/headers_only)
  run(${CMAKE_COMMAND} --build ${work}/headers_only)
elseif(way STREQUAL "include_path")
  set(includes -I ${source}/include)
  foreach(directory IN LISTS system_include)
    list(APPEND includes -I ${directory})
  endforeach()
  run(${compiler} -std=c++20 -O2 ${includes} ${CMAKE_CURRENT_LIST_DIR}/main.cpp -o consumer -pthread)
  run(${work}/consumer)
endif()
