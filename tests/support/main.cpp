// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The main of every test program. Beyond doctest's own: a test case that asserts nothing fails, a
/// filter that matches nothing fails, each failure prints the line that runs it again, and a
/// program that cannot run on this machine says why and counts as skipped.

#define DOCTEST_CONFIG_IMPLEMENT
#include <support/seed.hpp>

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// Defined where a sanitizer is linked: one that stops the program leaves no time for a reporter.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

// Defined where all cases of a program need what not every machine has: null, or what is missing.
extern "C" [[gnu::weak]] char const* tka_test_cannot_run();

namespace {

constexpr int exit_skipped = 77;

std::string program;
std::string running_case;
std::string running_repro;
bool strict_failure = false;
bool something_ran = false;
unsigned matching_cases = 0;

/// `text` inside single quotes of a shell.
std::string in_single_quotes(std::string const& text) {
  std::string out = "'";
  for (char const c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// The name of a test case as a filter: doctest separates filters at commas.
std::string as_filter(std::string const& name) {
  std::string out;
  for (char const c : name) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// The line that runs `name` again as it runs now.
std::string repro_line(std::string const& name) {
  char const* const fast = std::getenv("TKA_TEST_FAST");
  std::string line = "repro: TKA_TEST_SEED=" + std::to_string(support::seed());
  if (fast != nullptr) line += " TKA_TEST_FAST=" + in_single_quotes(fast);
  return line + " " + in_single_quotes(program) +
         " --test-case=" + in_single_quotes(as_filter(name)) + "\n";
}

/// Also called from signal handlers and dying sanitizers: allocates nothing.
void print_repro() {
  [[maybe_unused]] auto const written =
      ::write(STDERR_FILENO, running_repro.data(), running_repro.size());
}

class strict_listener final : public doctest::IReporter {
 public:
  explicit strict_listener(doctest::ContextOptions const&) {}

  void test_case_start(doctest::TestCaseData const& data) override {
    something_ran = true;
    running_case = data.m_name;
    running_repro = repro_line(running_case);
  }

  void test_case_end(doctest::CurrentTestCaseStats const& stats) override {
    bool const empty = stats.testCaseSuccess && stats.numAssertsCurrentTest == 0;
    if (empty) {
      strict_failure = true;
      std::fflush(stdout);
      std::fprintf(stderr, "FAILED: the test case '%s' ran without an assertion\n",
                   running_case.c_str());
    }
    if (empty || !stats.testCaseSuccess) {
      std::fflush(stdout);
      print_repro();
    }
  }

  void report_query(doctest::QueryData const& query) override {
    if (query.run_stats != nullptr) matching_cases = query.run_stats->numTestCasesPassingFilters;
  }

  void test_run_end(doctest::TestRunStats const&) override {
    if (matching_cases != 0) return;
    strict_failure = true;
    std::fprintf(stderr, "FAILED: no test case matches the filters\n");
  }

  void test_run_start() override {}
  void test_case_skipped(doctest::TestCaseData const&) override {}
  void test_case_reenter(doctest::TestCaseData const&) override {}
  void test_case_exception(doctest::TestCaseException const&) override {}
  void subcase_start(doctest::SubcaseSignature const&) override {}
  void subcase_end() override {}
  void log_assert(doctest::AssertData const&) override {}
  void log_message(doctest::MessageData const&) override {}
};

REGISTER_LISTENER("strict", 1, strict_listener);

/// The exit status of a program that cannot run here; TKA_REQUIRE_GPU=1 makes that a failure.
int exit_without_running(char const* reason) {
  char const* const required = std::getenv("TKA_REQUIRE_GPU");
  bool const fails = required != nullptr && std::string(required) == "1";
  std::fprintf(stderr, "%s: %s\n", fails ? "FAILED" : "skipped", reason);
  return fails ? EXIT_FAILURE : exit_skipped;
}

}  // namespace

int main(int argc, char** argv) {
  program = argv[0];
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(print_repro);
  if (tka_test_cannot_run != nullptr) {
    if (char const* const reason = tka_test_cannot_run()) return exit_without_running(reason);
  }

  // How many cases the filters match, those included that their own decorators skip.
  std::vector<char const*> arguments(argv, argv + argc);
  arguments.insert(arguments.end(), {"--count", "--no-skip", "--quiet"});
  doctest::Context count(static_cast<int>(arguments.size()), arguments.data());
  count.run();

  doctest::Context context(argc, argv);
  int const result = context.run();
  if (strict_failure) return EXIT_FAILURE;
  bool const only_skipped = !context.shouldExit() && !something_ran;
  return result == EXIT_SUCCESS && only_skipped ? exit_skipped : result;
}
