// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the benchmark library offers: plain C. library.py reads its structures and functions from
/// this file, so a declaration keeps to this form: names of one type in a statement, functions that
/// return int32_t, void, void* or char const*.

#pragma once

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* Changes with what stands below. */
#define TKA_BENCH_ABI 4
int32_t tka_bench_abi(void);

/* What `route` counts; the first is the plan's own choice. */
#define TKA_BENCH_ROUTES "own", "staged", "looped"

struct tka_bench_call {
  int32_t batch, q_heads, kv_heads, q_len;
  int32_t kv_len; /* the bound of the plan; real lengths are in tka_bench_tensors */
  int32_t qk_dim, v_dim;
  int32_t k;
  int32_t page_size;              /* only paged */
  int32_t index_heads, index_dim; /* only with an indexer */
  int32_t visible;                /* not 0: lse_visible can be made */
  int32_t route;                  /* of TKA_BENCH_ROUTES; a plan that it cannot serve is refused */
  float scale;
  float recall;          /* only bucketed; 0: the library's own target */
  int64_t scratch_limit; /* 0: the library's own */
};

struct tka_bench_plan {
  int32_t status;
  int32_t capacity;
  int32_t scope_heads;
  int32_t route;          /* that was taken; 0: none of those that have names here */
  double expected_recall; /* of a selection that is not exact, else 1 */
  int64_t scratch_bytes, state_bytes;
};

/* Device memory. q and o are packed [batch, q_heads, q_len, dim], positions [batch, scope_heads,
   q_len, capacity], count [batch, scope_heads, q_len], lse and lse_visible [batch, q_heads, q_len],
   scores [batch, scope_heads, q_len, kv_len], index_q [batch, index_heads, q_len, index_dim],
   index_weights [batch, index_heads, q_len]. Strides are in elements, from one sequence (paged:
   page), head and token to the next. Null: not made, not read. */
struct tka_bench_tensors {
  void *q, *k, *v, *o;
  int64_t k_batch, k_head, k_token;
  int64_t v_batch, v_head, v_token;
  void* lengths;
  void *positions, *count;
  void *lse, *lse_visible;
  void* error;
  void *scratch, *state;
  void* block_table; /* only paged */
  int64_t table_stride, pages;
  void *index_q, *index_k, *index_weights; /* only with an indexer */
  int64_t index_stride;
  void* scores; /* only stored_scores */
};

/* A planned call of a combination, named as bench/points.py names it; null where this build lacks
   it. */
void* tka_bench_create(char const* combination, struct tka_bench_call const* call,
                       struct tka_bench_plan* plan);
void tka_bench_destroy(void* planned);
/* Both return a tka::status; run only enqueues on the stream. */
int32_t tka_bench_initialize(void* planned, struct tka_bench_tensors const* tensors, void* stream);
int32_t tka_bench_run(void* planned, struct tka_bench_tensors const* tensors, void* stream);

char const* tka_bench_status_text(int32_t status);
/* The name of the last CUDA error of this library's runtime, which it clears. */
char const* tka_bench_last_cuda_error(void);

/* Ceilings; each is one launch and returns a cudaError_t. `sink` is 4 bytes. */
int32_t tka_bench_empty(void* stream);
int32_t tka_bench_read(void* from, int64_t bytes, void* sink, void* stream);
/* Rows of 256 bytes at the given row numbers. */
int32_t tka_bench_gather(void* from, void* rows, int64_t count, void* sink, void* stream);
/* One thread that does nothing for so long. */
int32_t tka_bench_spin(int64_t nanoseconds, void* stream);
/* Kernels of a cudaGraph_t; negative: a cudaError_t. */
int32_t tka_bench_count_kernels(void* graph);

/* Inputs, of elements 0: fp32, 1: fp16, 2: bf16, 3: fp8. The same places have the same numbers in
   every process. */
/* Rows of 128 from `first_row` of all keys on, in which every distribution of scores.hpp is hidden.
 */
int32_t tka_bench_fill_keys(void* keys, int32_t element, int64_t first_row, int64_t rows,
                            void* stream);
/* Normal numbers, others for another seed. */
int32_t tka_bench_fill_normal(void* values, int32_t element, int64_t first, int64_t count,
                              int32_t seed, void* stream);
/* On the host, rows of 128 under which scores are distributed as bench/points.py names it. */
void tka_bench_make_queries(void* queries, int32_t element, char const* scores, int64_t heads);

/* CUB's ways to select, over `rows` rows of `length` fp32 scores; both ask for the bytes of memory
   that they want where `memory` is null, and return a cudaError_t. */
/* Rows sorted whole, larger and earlier first. `offsets` are rows + 1. */
int32_t tka_bench_cub_sort(void* memory, int64_t* bytes, void* scores, int32_t rows, int32_t length,
                           void* positions_in, void* offsets, void* sorted, void* positions,
                           void* stream);
/* The k largest in any order, whichever of equals; cudaErrorNotSupported where the CUB at hand has
   no cub::DeviceBatchedTopK for rows of this length. */
int32_t tka_bench_cub_topk(void* memory, int64_t* bytes, void* scores, int32_t rows, int32_t length,
                           int32_t k, void* kept, void* positions, void* stream);
/* The version of CUB, as 300500 is 3.5.0. */
int32_t tka_bench_cub_version(void);

#if defined(__cplusplus)
}
#endif
