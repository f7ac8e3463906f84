# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# Headers, the CMake package (components: cpu, cuda) and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(tka_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/tka)

target_include_directories(tka INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/include/tka
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING
  PATTERN "*.hpp"
  PATTERN "*.cuh"
  PATTERN "*.md")

# One export set for each component: a package without Eigen still gives tka::tka.
install(TARGETS tka EXPORT tka-targets)
install(TARGETS tka_cpu EXPORT tka-cpu-targets)
install(EXPORT tka-targets NAMESPACE tka:: DESTINATION ${tka_package_dir})
install(EXPORT tka-cpu-targets NAMESPACE tka:: DESTINATION ${tka_package_dir})
if(TARGET tka_cuda)
  install(TARGETS tka_cuda EXPORT tka-cuda-targets)
  install(EXPORT tka-cuda-targets NAMESPACE tka:: DESTINATION ${tka_package_dir})
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/tka-config.cmake.in ${PROJECT_BINARY_DIR}/tka-config.cmake
                              INSTALL_DESTINATION ${tka_package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tka-config-version.cmake
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/tka-config.cmake ${PROJECT_BINARY_DIR}/tka-config-version.cmake
              ${PROJECT_SOURCE_DIR}/cmake/tka-dependencies.cmake
        DESTINATION ${tka_package_dir})

# Relative, so that the installed tree can be moved.
file(RELATIVE_PATH tka_pc_to_prefix /${CMAKE_INSTALL_DATADIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/tka.pc.in ${PROJECT_BINARY_DIR}/tka.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tka.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
