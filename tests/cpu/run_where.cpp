// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// run_where LEVEL PROGRAM [ARGUMENT...]: runs the program where this processor has the instruction
/// set, else returns 77, which ctest reports as skipped.

#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace {

bool processor_has(char const* level) {
  if (std::strcmp(level, "baseline") == 0) return true;
#if defined(__x86_64__)
  if (std::strcmp(level, "avx") == 0) return __builtin_cpu_supports("avx") != 0;
  if (std::strcmp(level, "avx2") == 0) {
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  }
  if (std::strcmp(level, "avx512") == 0) {
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
           __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  }
#endif
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  if (!processor_has(argv[1])) {
    std::printf("skipped: this processor has no %s\n", argv[1]);
    return 77;
  }
  execv(argv[2], argv + 2);
  std::perror(argv[2]);
  return 2;
}
