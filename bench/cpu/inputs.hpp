// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Keys, values and queries of the matrix: one memory of each for all points of a precision.

#pragma once

#include "cpu/memory.hpp"
#include "scores.hpp"

#include <cmath>
#include <cstdint>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace bench {

inline constexpr std::int64_t pool_bytes = std::int64_t{640} << 20;  // of k, and of v: past caches

template <class T>
void put(T* pair, float value) {
  pair[0] = T(value);
  pair[1] = T(value - static_cast<float>(pair[0]));
}

template <class T>
class pool {
 public:
  static pool const& get() {
    static pool const instance;
    return instance;
  }

  block<T> k = random_block<T>(elements, 2);
  block<T> v = random_block<T>(elements, 3);
  static constexpr std::int64_t elements = pool_bytes / std::int64_t{sizeof(T)};

 private:
  pool() {
    std::mt19937 random{20};
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform;
    for (std::int64_t row = 0; row < elements / head_dim; ++row) {
      T* const key = k.get() + row * head_dim;
      key[component::one] = T(1.0f);
      put(key + component::ramp,
          static_cast<float>(row % ramp_length) / static_cast<float>(ramp_length));
      for (int head = 0; head < group; ++head) {
        put(key + component::uniform + 2 * head, uniform(random));
        put(key + component::sparse + 2 * head, uniform(random) < 0.94f ? 0.0f : normal(random));
        put(key + component::normal + 2 * head, normal(random));
      }
      for (int i = 0; i < recorded_rows; ++i) {
        recorded_row const& from = recorded_scores[static_cast<std::size_t>(i)];
        auto const level = from.levels[row % recorded_length];
        put(key + component::recorded + 2 * i,
            from.low + from.step * (static_cast<float>(level) + uniform(random)));
      }
    }
  }
};

/// `heads` queries under which scores are distributed as `kind` says.
template <class T>
block<T> queries(std::string_view kind, std::int64_t heads) {
  block<T> q = random_block<T>(heads * head_dim, 4);
  for (std::int64_t head = 0; head < heads; ++head)
    shape_query(kind, q.get() + head * head_dim, head);
  return q;
}

/// The largest batch of the points; with batches of one sequence there are queries to spare.
inline constexpr std::int64_t most_batch = 16;

/// Says what `write_inputs` leaves, in `folder`/inputs.json.
inline void write_sizes(std::string const& folder) {
  std::ofstream out(folder + "/inputs.json");
  out.precision(9);
  out << "{\"q_heads\": " << q_heads << ", \"kv_heads\": " << kv_heads
      << ", \"head_dim\": " << head_dim << ", \"scale\": " << scale
      << ", \"pool_bytes\": " << pool_bytes << ", \"most_batch\": " << most_batch << "}\n";
  if (!out.flush()) throw std::runtime_error("cannot write to " + folder);
}

/// Leaves the keys, values and normal queries of a precision in files, for peers in other
/// processes: K, V and Q behind one another in `folder`/PRECISION.bin.
template <class T>
void write_inputs(std::string const& folder, std::string const& precision) {
  std::ofstream out(folder + "/" + precision + ".bin", std::ios::binary);
  auto const put_all = [&](block<T> const& from, std::int64_t count) {
    out.write(reinterpret_cast<char const*>(from.get()),
              static_cast<std::streamsize>(count * std::int64_t{sizeof(T)}));
  };
  put_all(pool<T>::get().k, pool<T>::elements);
  put_all(pool<T>::get().v, pool<T>::elements);
  put_all(queries<T>("normal", most_batch * q_heads), most_batch * q_heads * head_dim);
  if (!out.flush()) throw std::runtime_error("cannot write to " + folder);
}

}  // namespace bench
