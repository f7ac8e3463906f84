// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a stage is. A stage does one thing to the items of a wave: it says what they are, how many
/// threads, blocks and bytes it wants and whether a call needs it, and it runs. Routes go over a
/// list of stages and know nothing of them.
///
///     template <class Problem>
///     struct a_stage {
///       using problem = Problem;
///       static constexpr char const* name = "a_stage";
///       static constexpr count_of items = count_of::slots;   // what it shares out among blocks
///       static constexpr known shares = known::own;          // what a block knows of them at
///       first static constexpr starts start = starts::after_all;   // see below static constexpr
///       int threads = 256;                  // of a block, where it has a kernel static constexpr
///       int resident_blocks = 4;            // on a multiprocessor, at most static constexpr bool
///       cooperative = false;           // its blocks wait for one another static bool serves(plan
///       const&);                     // this call needs it, and it can static int blocks(plan
///       const&, plan_numbers const&); static int bytes(plan const&, plan_numbers const&);  // of
///       shared memory it wants, at least template <int Threads, class Ready>
///       __device__ static void run(stage_call<Problem> const&, Ready&& ready);
///     };
///
/// `ready()` is called once by all threads, before the first access to what the stage in front
/// left. Where there is more than one way to do the same, to the bit, a stage has `variants`, a
/// list of such structs: the first that serves a plan has the kernel. The last serves every plan,
/// with blocks of `block_threads`: it also runs where all stages share one kernel, unless the stage
/// names another for that (`in_loop`).

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/team.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/plan_numbers.cuh>
#include <tka/detail/cuda/work/schedule.cuh>
#include <tka/detail/cuda/work/scratch.cuh>
#include <tka/detail/cuda/work/view.cuh>
#include <tka/detail/cuda/work/wave.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// How early a stage's kernel may begin to read.
enum class starts {
  after_all,      ///< when the kernel in front has ended
  after_schedule  ///< at once: what it reads before `ready()` stands in the schedule and in records
};

/// What a block knows of its items when a stage's kernel begins.
enum class known {
  nothing,
  totals,  ///< how many items of each kind there are
  own      ///< also which of the stage's kind are this block's
};

/// The parameters of every kernel that works on slots.
template <class Problem>
struct work_arguments {
  plan p;
  arguments<Problem> a;
  geometry<Problem> g;  ///< here and below: what the host knows, kernels need not compute
  plan_numbers n;
  typename Problem::selector::row_numbers selector;
  scratch_layout layout;
  std::uint32_t* scratch;
  std::int64_t scratch_words;
  std::int32_t score_blocks;   ///< that will score: units are cut for them
  std::int32_t select_blocks;  ///< that will select: teams are formed of them
  std::int32_t loop_bytes;     ///< shared memory of a block that loops over waves
  bool lists;                  ///< the caller asks for something of lists
  bool first_wave_done;        ///< only of a kernel that loops over waves

  [[nodiscard]] __device__ schedule_builder schedule() const noexcept {
    return schedule_builder::at_memory(scratch, p.shape.batch);
  }
  [[nodiscard]] __device__ team_cut& cut() const noexcept {
    return *reinterpret_cast<team_cut*>(scratch + layout.cut);
  }
  [[nodiscard]] __device__ team_memory* teams() const noexcept {
    return reinterpret_cast<team_memory*>(scratch + layout.teams);
  }
  /// Scratch for slots, in words. Places are counted in lines.
  [[nodiscard]] __device__ std::int64_t pool_words() const noexcept {
    return (scratch_words - layout.slots) / 32 * 32;
  }
  [[nodiscard]] __device__ wave_view<Problem> view(wave_shares const& shares) const noexcept {
    return {p,      a,     g, table_of(schedule()), scratch + layout.places, scratch + layout.slots,
            shares, lists, {}};
  }
};

/// What one run of a stage is given.
template <class Problem>
struct stage_call {
  work_arguments<Problem> const& w;
  wave_view<Problem> const& view;
  char* shared;  ///< at a multiple of 128 bytes
  int bytes;     ///< of it, at least those that the stage wants
};

/// Shared memory of the shares, in front of a stage's own.
inline constexpr int shares_bytes = (static_cast<int>(sizeof(wave_shares)) + 127) / 128 * 128;

template <class... Stages>
struct stage_list {};

template <class... Lists>
struct joined_lists {
  using type = stage_list<>;
};
template <class... A, class... B, class... Rest>
struct joined_lists<stage_list<A...>, stage_list<B...>, Rest...>
    : joined_lists<stage_list<A..., B...>, Rest...> {};
template <class... A>
struct joined_lists<stage_list<A...>> {
  using type = stage_list<A...>;
};

/// The ways of a stage: itself, unless it has variants.
template <class Stage>
struct variants_of {
  using type = stage_list<Stage>;
};
template <class Stage>
  requires requires { typename Stage::variants; }
struct variants_of<Stage> {
  using type = typename Stage::variants;
};

/// The variant that serves every plan.
template <class Variants>
struct last_of;
template <class Only>
struct last_of<stage_list<Only>> {
  using type = Only;
};
template <class First, class... Rest>
struct last_of<stage_list<First, Rest...>> : last_of<stage_list<Rest...>> {};
template <class Stage>
struct general_variant_of {
  using type = typename last_of<typename variants_of<Stage>::type>::type;
};
template <class Stage>
  requires requires { typename Stage::in_loop; }
struct general_variant_of<Stage> {
  using type = typename Stage::in_loop;
};
template <class Stage>
using general_variant = typename general_variant_of<Stage>::type;

/// A stage that wants things made ready for it in scratch. The kernel of the first stage of a wave
/// does so: `clear` touches only what no earlier kernel does, `arrange` may read the schedule.
template <class Stage>
concept needs_arranging = requires(work_arguments<typename Stage::problem> const& w,
                                   wave_view<typename Stage::problem> const& view) {
  Stage::clear(w);
  Stage::arrange(w, view, 1);
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
