// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The safetensors reader: nothing in the header is believed before it is checked.

#include "safetensors.hpp"

#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>

#include <nlohmann/json.hpp>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace language_model {
namespace {

std::size_t size_of(std::string const& type) {
  if (type == "F32") return 4;
  if (type == "F16" || type == "BF16") return 2;
  if (type == "U8") return 1;
  throw std::runtime_error("the element type " + type + " is not read here");
}

template <class Stored>
float widened(char const* at) {
  Stored value;
  std::memcpy(static_cast<void*>(&value), at, sizeof(Stored));
  return static_cast<float>(value);
}

}  // namespace

safetensors_file::safetensors_file(std::filesystem::path const& path) : path_(path.string()) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path_ + ": cannot be opened");
  bytes_.assign(std::istreambuf_iterator<char>(in), {});
  try {
    std::uint64_t header = 0;
    if (bytes_.size() < sizeof(header)) throw std::runtime_error("shorter than its header");
    std::memcpy(&header, bytes_.data(), sizeof(header));
    if (header > bytes_.size() - sizeof(header)) {
      throw std::runtime_error("the header is longer than the file");
    }
    std::size_t const data = sizeof(header) + header;
    std::size_t const room = bytes_.size() - data;
    char const* const text = bytes_.data() + sizeof(header);
    nlohmann::json const parsed = nlohmann::json::parse(text, text + header);
    for (auto const& [name, about] : parsed.items()) {
      if (name == "__metadata__") {
        metadata_ = about.get<std::map<std::string, std::string>>();
        continue;
      }
      entry e{about.at("dtype"), about.at("shape"), 0, 1};
      for (std::int64_t const extent : e.shape) {
        if (extent < 0 || (extent > 0 && e.count > room / static_cast<std::size_t>(extent))) {
          throw std::runtime_error(name + ": impossible shape");
        }
        e.count *= static_cast<std::size_t>(extent);
      }
      auto const begin = about.at("data_offsets").at(0).get<std::size_t>();
      auto const end = about.at("data_offsets").at(1).get<std::size_t>();
      if (begin > end || end > room || end - begin != e.count * size_of(e.type)) {
        throw std::runtime_error(name + ": offsets do not fit its shape and the file");
      }
      e.begin = data + begin;
      entries_.emplace(name, std::move(e));
    }
  } catch (std::exception const& problem) {
    throw std::runtime_error(path_ + ": not a safetensors file: " + problem.what());
  }
}

tensor safetensors_file::read(std::string const& name) const {
  auto const found = entries_.find(name);
  if (found == entries_.end()) throw std::runtime_error(path_ + ": holds no tensor " + name);
  entry const& e = found->second;
  tensor t{e.shape, std::vector<float>(e.count)};
  std::size_t const size = size_of(e.type);
  for (std::size_t i = 0; i < e.count; ++i) {
    char const* const at = bytes_.data() + e.begin + i * size;
    t.values[i] = e.type == "F32"    ? widened<float>(at)
                  : e.type == "BF16" ? widened<tka::bfloat16_t>(at)
                  : e.type == "F16"  ? widened<tka::float16_t>(at)
                                     : widened<unsigned char>(at);
  }
  return t;
}

}  // namespace language_model
