// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every policy with every precision, source and scope. Each program of the matrix takes a share;
/// what passed is added to the JSON file that TKA_MATRIX_JSON names.

#pragma once

#include <support/cases.hpp>
#include <support/compare.hpp>
#include <support/run.hpp>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace matrix {

using namespace support;

template <class T>
struct name_of;
template <>
struct name_of<tka::exact_radix> {
  static constexpr char const* value = "exact_radix";
};
template <>
struct name_of<tka::bucketed> {
  static constexpr char const* value = "bucketed";
};
template <class S>
struct name_of<tka::stored_scores<S>> {
  static std::string text() { return std::string("stored_scores<") + name_of<S>::value + ">"; }
};
template <class S>
struct name_of<tka::lightning_indexer<S>> {
  static std::string text() { return std::string("lightning_indexer<") + name_of<S>::value + ">"; }
};
template <>
struct name_of<tka::fp32> {
  static constexpr char const* value = "fp32";
};
template <>
struct name_of<tka::fp16> {
  static constexpr char const* value = "fp16";
};
template <>
struct name_of<tka::bf16> {
  static constexpr char const* value = "bf16";
};
template <>
struct name_of<tka::fp8> {
  static constexpr char const* value = "fp8";
};
template <>
struct name_of<tka::kv::contiguous> {
  static constexpr char const* value = "contiguous";
};
template <>
struct name_of<tka::kv::ragged> {
  static constexpr char const* value = "ragged";
};
template <>
struct name_of<tka::kv::paged> {
  static constexpr char const* value = "paged";
};
template <>
struct name_of<tka::scope::query_head> {
  static constexpr char const* value = "query_head";
  static constexpr oracle::scope scope = oracle::scope::query_head;
};
template <>
struct name_of<tka::scope::kv_group> {
  static constexpr char const* value = "kv_group";
  static constexpr oracle::scope scope = oracle::scope::kv_group;
};
template <>
struct name_of<tka::scope::all_heads> {
  static constexpr char const* value = "all_heads";
  static constexpr oracle::scope scope = oracle::scope::all_heads;
};

template <class T>
std::string name() {
  if constexpr (requires { name_of<T>::value; }) {
    return name_of<T>::value;
  } else {
    return name_of<T>::text();
  }
}

/// Adds a line to the file, which stays a sorted JSON array with an object a line. Programs of the
/// matrix run side by side, so the file is locked meanwhile.
inline void record(std::string const& line) {
  char const* const path = std::getenv("TKA_MATRIX_JSON");
  if (path == nullptr || *path == '\0') return;
  int const file = ::open(path, O_RDWR | O_CREAT, 0644);
  REQUIRE(file >= 0);
  REQUIRE(::flock(file, LOCK_EX) == 0);
  std::string text;
  char block[4096];
  for (;;) {
    auto const n = ::read(file, block, sizeof(block));
    if (n <= 0) break;
    text.append(block, static_cast<std::size_t>(n));
  }
  std::set<std::string> lines{line};
  std::istringstream in(text);
  for (std::string one; std::getline(in, one);) {
    auto const begin = one.find('{');
    auto const end = one.rfind('}');
    if (begin != std::string::npos && end != std::string::npos) {
      lines.insert(one.substr(begin, end - begin + 1));
    }
  }
  std::string out = "[\n";
  std::size_t left = lines.size();
  for (auto const& one : lines) out += "  " + one + (--left > 0 ? ",\n" : "\n");
  out += "]\n";
  REQUIRE(::lseek(file, 0, SEEK_SET) == 0);
  REQUIRE(::ftruncate(file, 0) == 0);
  REQUIRE(::write(file, out.data(), out.size()) == static_cast<ssize_t>(out.size()));
  ::close(file);
}

/// One cell: the exact set (scores are exact in fp32), then the output over it.
template <class Selection, class Precision, class Source, class Scope>
void check_cell() {
  constexpr bool by_index = std::is_same_v<Scope, tka::scope::all_heads> &&
                            !requires(typename Selection::tensors t) { t.scores; };
  constexpr bool by_stored = requires(typename Selection::tensors t) { t.scores; };
  using query = std::conditional_t<std::is_same_v<Source, tka::kv::ragged>, tka::query::ragged,
                                   tka::query::uniform>;
  using form = tka::form<Source, Scope, query>;
  std::string const line = "{\"selection\": \"" + name<Selection>() + "\", \"precision\": \"" +
                           name<Precision>() + "\", \"source\": \"" + name<Source>() +
                           "\", \"scope\": \"" + name<Scope>() + "\"}";
  CAPTURE(line);
  random_source random("matrix");
  INFO(random);
  oracle::rules r;
  r.q_heads = 4;
  r.kv_heads = 2;
  r.qk_dim = 32;
  r.v_dim = 48;
  r.scope = name_of<Scope>::scope;
  r.score = by_index    ? oracle::score::index
            : by_stored ? oracle::score::stored
                        : oracle::score::query_key;
  r.index_heads = by_index ? 3 : 0;
  r.index_dim = by_index ? 32 : 0;
  r.scale = 0.25;
  r.sinks = 1;
  r.recent = 2;
  r.k = 24;
  if (!Selection::is_exact) {
    r.buckets = 19;
    r.per_bucket = 2;
  }
  auto p = make_problem(r, {{2, 290}, {2, 24}, {2, 1}}, contents::integers, random);
  round_to<Precision>(p);
  std::string fault;
  for (order const how : {order::hnd, order::nhd}) {
    arranged<Precision, form> const a(p, {.q = how, .kv = how, .out = how, .page_size = 7});
    auto const got = attend<Selection>(a, options_of(r));
    auto const wrong_set = selection_fault(got, p);
    CHECK(wrong_set == "");
    auto const wrong_output =
        wrong_set.empty() ? attention_fault<Precision>(got, p, lists_of(got, p)) : "no set";
    CHECK(wrong_output == "");
    fault += wrong_set + wrong_output;
  }
  if (fault.empty()) record(line);
}

/// A column of the matrix: one precision and one source.
template <class Precision, class Source>
void check_query_key() {
  check_cell<tka::exact_radix, Precision, Source, tka::scope::query_head>();
  check_cell<tka::exact_radix, Precision, Source, tka::scope::kv_group>();
  check_cell<tka::bucketed, Precision, Source, tka::scope::query_head>();
  check_cell<tka::bucketed, Precision, Source, tka::scope::kv_group>();
}
template <class Precision, class Source>
void check_other_scores() {
  check_cell<tka::lightning_indexer<tka::exact_radix>, Precision, Source, tka::scope::all_heads>();
  check_cell<tka::lightning_indexer<tka::bucketed>, Precision, Source, tka::scope::all_heads>();
  check_cell<tka::stored_scores<tka::exact_radix>, Precision, Source, tka::scope::query_head>();
  check_cell<tka::stored_scores<tka::exact_radix>, Precision, Source, tka::scope::kv_group>();
  check_cell<tka::stored_scores<tka::exact_radix>, Precision, Source, tka::scope::all_heads>();
}

}  // namespace matrix
