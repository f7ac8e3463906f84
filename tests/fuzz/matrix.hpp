// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Every policy with every precision, source and scope, each with arguments drawn; query source,
/// visibility and cache layout take turns. Each program of the matrix takes a share; what passed is
/// added to the JSON file that TKA_MATRIX_JSON names.

#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fuzz/instance.hpp>
#include <sys/file.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace matrix {

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
};
template <>
struct name_of<tka::scope::kv_group> {
  static constexpr char const* value = "kv_group";
};
template <>
struct name_of<tka::scope::all_heads> {
  static constexpr char const* value = "all_heads";
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

/// Cells of the matrix, and what each is called in the file.
struct cells {
  std::vector<fuzz::instance> instances;
  std::vector<std::string> lines;

  template <class Selection, class Precision, class Source, class Scope, class... Others>
  void add() {
    using form = tka::form<Source, Scope, Others...>;
    lines.push_back("{\"selection\": \"" + name<Selection>() + "\", \"precision\": \"" +
                    name<Precision>() + "\", \"source\": \"" + name<Source>() +
                    "\", \"scope\": \"" + name<Scope>() + "\"}");
    instances.push_back(fuzz::attend_instance<Selection, Precision, form>(lines.back().c_str()));
  }

  void check(std::string_view stream) const {
    auto const ran = fuzz::run_campaign(stream, instances, fuzz::effort_of(12 * lines.size()));
    for (auto const& fault : ran.faults) FAIL_CHECK(fault);
    for (std::size_t n = 0; n < lines.size(); ++n) {
      CAPTURE(lines[n]);
      CHECK((ran.passed[n] != 0 || support::fast()));
      if (ran.passed[n] != 0) record(lines[n]);
    }
  }
};

using tka::bucketed;
using tka::exact_radix;
using all_keys = tka::visibility::all;
using sliding_window = tka::visibility::sliding_window;
using ragged_queries = tka::query::ragged;
using by_head = tka::scope::query_head;
using by_group = tka::scope::kv_group;
using for_all_heads = tka::scope::all_heads;
using with_scales = tka::layout::scaled;

/// A column of the matrix: one precision and one source.
template <class Precision, class Source, class... Others>
void add_query_key(cells& to) {
  to.add<exact_radix, Precision, Source, by_head, Others...>();
  to.add<exact_radix, Precision, Source, by_group, sliding_window, Others...>();
  to.add<bucketed, Precision, Source, by_head, sliding_window, Others...>();
  to.add<bucketed, Precision, Source, by_group, all_keys, Others...>();
}
template <class Precision, class Source, class... Others>
void add_other_scores(cells& to) {
  using by_index = tka::lightning_indexer<exact_radix>;
  using by_index_bucketed = tka::lightning_indexer<bucketed>;
  using stored = tka::stored_scores<exact_radix>;
  to.add<by_index, Precision, Source, for_all_heads, sliding_window, Others...>();
  to.add<by_index_bucketed, Precision, Source, for_all_heads, Others...>();
  to.add<stored, Precision, Source, by_head, all_keys, Others...>();
  to.add<stored, Precision, Source, by_group, Others...>();
  to.add<stored, Precision, Source, for_all_heads, sliding_window, Others...>();
}

template <class Precision>
void check_query_key(std::string_view stream) {
  cells all;
  add_query_key<Precision, tka::kv::contiguous, ragged_queries>(all);
  add_query_key<Precision, tka::kv::ragged, with_scales>(all);
  add_query_key<Precision, tka::kv::paged, ragged_queries, with_scales>(all);
  all.check(stream);
}
template <class Precision>
void check_other_scores(std::string_view stream) {
  cells all;
  add_other_scores<Precision, tka::kv::contiguous, with_scales>(all);
  add_other_scores<Precision, tka::kv::ragged, ragged_queries>(all);
  add_other_scores<Precision, tka::kv::paged>(all);
  all.check(stream);
}

}  // namespace matrix
