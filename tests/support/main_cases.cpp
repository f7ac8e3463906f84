// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Cases that behave well and badly, for check_main.cmake to run one by one.

#include <support/seed.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <stdexcept>

namespace {

TEST_CASE("good") {
  support::random_source random("good");
  CHECK(random.uniform() < 1.0);
  CHECK(random.draws() == 1);
}

TEST_CASE("empty") {}

TEST_CASE("bad, with a comma and a 'quote'") {
  support::random_source random("bad");
  INFO(random);
  random();
  CHECK(random.draws() == 2);
}

TEST_CASE("throws") { throw std::runtime_error("thrown"); }

TEST_CASE("crashes") { std::raise(SIGSEGV); }

TEST_CASE("skipped" * doctest::skip()) { CHECK(true); }

TEST_CASE("same stream, same numbers") {
  support::random_source first("a");
  support::random_source second("a");
  support::random_source other("b");
  auto const drawn = first();
  CHECK(drawn == second());
  CHECK(drawn != other());
}

TEST_CASE("between holds its limits") {
  support::random_source random("between");
  for (int i = 0; i < 100; ++i) {
    auto const drawn = random.between(-1, 1);
    CHECK(drawn >= -1);
    CHECK(drawn <= 1);
  }
}

}  // namespace
