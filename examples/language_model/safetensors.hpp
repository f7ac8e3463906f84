// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Reads safetensors files: a JSON header and the bytes of the tensors behind it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace language_model {

/// One tensor, widened to fp32.
struct tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// A whole file in memory. Whatever is wrong with it is thrown as std::runtime_error.
class safetensors_file {
 public:
  explicit safetensors_file(std::filesystem::path const& path);

  [[nodiscard]] bool has(std::string const& name) const { return entries_.contains(name); }
  /// The tensor `name`, stored as F32, F16, BF16 or U8.
  [[nodiscard]] tensor read(std::string const& name) const;
  /// The strings of `__metadata__`.
  [[nodiscard]] std::map<std::string, std::string> const& metadata() const { return metadata_; }

 private:
  struct entry {
    std::string type;
    std::vector<std::int64_t> shape;
    std::size_t begin;  // in bytes_
    std::size_t count;  // elements
  };

  std::string path_;
  std::vector<char> bytes_;
  std::map<std::string, entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace language_model
