// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Names that C headers are known to take as macros; the library uses none of them, or guards it
/// as in `(std::min)(a, b)`. The standard library and Eigen come first: Eigen does use them.

#include <Eigen/Dense>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cfloat>
#include <chrono>
#include <climits>
#include <cmath>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#define major(...) the_name_major_may_be_a_macro   // sys/sysmacros.h
#define minor(...) the_name_minor_may_be_a_macro   // sys/sysmacros.h
#define I the_name_I_may_be_a_macro                // complex.h
#define B0 the_name_B0_may_be_a_macro              // termios.h
#define N the_name_N_may_be_a_macro                // Arduino and MATLAB
#define F the_name_F_may_be_a_macro                // Arduino
#define OVERFLOW the_name_OVERFLOW_may_be_a_macro  // math.h of System V
#define DOMAIN the_name_DOMAIN_may_be_a_macro      // math.h of System V
#define unix the_name_unix_may_be_a_macro          // a predefined macro in GNU mode
#define linux the_name_linux_may_be_a_macro        // a predefined macro in GNU mode

#include "all_headers.hpp"
