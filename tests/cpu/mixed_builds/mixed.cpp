// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// mixed PROGRAM...: one program of all the files. Each takes plans of every other, in turn, and
/// gives the bits of its own PROGRAM, in which it is alone.

#include "cpu/mixed_builds/calls.hpp"

#if defined(MIXED_CUDA)
#include "cpu/mixed_builds/cuda.hpp"
#endif

#include <cinttypes>
#include <string>

namespace {

using namespace mixed;

/// What a program prints, or nothing where it is skipped.
std::string output_of(char const* program) {
  std::FILE* const pipe = popen(program, "r");
  must(pipe != nullptr, program);
  char text[64] = {};
  bool const said = std::fgets(text, sizeof(text), pipe) != nullptr;
  int const status = pclose(pipe);
  must(said || status == 77 * 256, program);
  return text;
}

std::string text_of(outputs const& x) {
  char text[64];
  std::snprintf(text, sizeof(text), "%016" PRIx64 "\n", hash_of(x));
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<level const*> const all{
#define MIXED_LIST(flags) &level_##flags(),
      MIXED_LEVELS(MIXED_LIST)};
  must(argc == static_cast<int>(all.size()) + 1, "a program for each file");
  std::vector<level const*> here;
  std::vector<std::string> alone;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string const text = output_of(argv[i + 1]);
    must(text.empty() == !all[i]->processor_has(), "a program ran where the processor can");
    if (text.empty()) continue;
    here.push_back(all[i]);
    alone.push_back(text);
  }
  for (std::size_t planner = 0; planner < here.size(); ++planner) {
    for (std::size_t runner = 0; runner < here.size(); ++runner) {
      std::string const own = text_of(run_all(*here[planner], *here[runner]));
      if (own == alone[runner]) continue;
      std::printf("failed: %s with plans of %s is not what it is alone\n", here[runner]->name,
                  here[planner]->name);
      return 1;
    }
  }
#if defined(MIXED_CUDA)
  for (level const* const own : here) check_cuda(*own);
#endif
  std::printf("%zu of %zu files\n", here.size(), all.size());
}
