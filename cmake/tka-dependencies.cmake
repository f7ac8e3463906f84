# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# Find what tka::cpu and tka::cuda link. Used by the build tree and, installed, by the package. A target that
# the including project made itself (FetchContent, a vendored Eigen) is taken as it is.
# Each sets `problem` to a sentence, or to nothing where all is there.
macro(tka_find_cpu_dependencies problem)
  set(${problem} "")
  if(NOT TARGET Eigen3::Eigen)
    # Without a version in the call: Eigen's own rule would refuse a newer major one.
    find_package(Eigen3 QUIET NO_MODULE)
    if(NOT TARGET Eigen3::Eigen)
      set(${problem} "Eigen 3.4 or newer was not found")
    elseif(Eigen3_VERSION VERSION_LESS 3.4)
      set(${problem} "Eigen ${Eigen3_VERSION} is older than 3.4")
    endif()
  endif()
  if(NOT TARGET Threads::Threads)
    find_package(Threads QUIET)
    if(NOT TARGET Threads::Threads)
      set(${problem} "no thread library was found")
    endif()
  endif()
endmacro()

macro(tka_find_cuda_dependencies problem)
  set(${problem} "")
  if(NOT TARGET CUDA::cudart_static)
    find_package(CUDAToolkit QUIET)
    if(NOT TARGET CUDA::cudart_static)
      set(${problem} "no CUDA toolkit was found")
    endif()
  endif()
endmacro()
