// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the benchmark library offers to decode.py and to matrix.cpp: plain C. library.py repeats
/// these structures field by field.

#pragma once

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* Changes with the structures below. */
#define TKA_BENCH_ABI 3
int32_t tka_bench_abi(void);

struct tka_bench_call {
  int32_t batch;
  int32_t q_heads;
  int32_t kv_heads;
  int32_t q_len;
  int32_t kv_len; /* the bound of the plan; real lengths are in tka_bench_tensors */
  int32_t head_dim;
  int32_t k;
  int32_t page_size;   /* only paged */
  int32_t index_heads; /* only with an indexer; its dimension is head_dim */
  int32_t visible;     /* not 0: lse_visible can be made */
  float scale;
  float recall;    /* only bucketed; 0: the library's own target */
  int32_t workers; /* these three: another schedule than the plan's; 0: its own */
  int32_t query_tile;
  int32_t stages;
};

struct tka_bench_plan {
  int32_t status;
  int32_t capacity;
  int32_t scope_heads;
  int32_t phases;
  int32_t workers;
  int32_t query_tile;
  int32_t splits;
  int32_t stages;
  int32_t buckets; /* only bucketed: of a row that keeps k keys */
  int32_t per_bucket;
  int64_t scratch_bytes;
  int64_t state_bytes;
};

/* Device memory. q and o are packed [batch, q_heads, q_len, head_dim], positions
   [batch, scope_heads, q_len, capacity], count [batch, scope_heads, q_len], lse and lse_visible
   [batch, q_heads, q_len], scores [batch, scope_heads, q_len, kv_len]; k and v have strides in
   elements from one sequence (paged: page) and one head to the next, index_k one from a sequence
   to the next. Null: not made, not read. */
struct tka_bench_tensors {
  void const* q;
  void const* k;
  void const* v;
  void* o;
  int32_t const* lengths;
  int64_t batch_stride;
  int64_t head_stride;
  int32_t* positions;
  int32_t* count;
  float* lse;
  float* lse_visible;
  uint32_t* error;
  void* scratch;
  void* state;
  int32_t const* block_table; /* only paged */
  int64_t table_stride;
  int64_t pages;
  void const* index_q; /* only with an indexer */
  void const* index_k;
  float const* index_weights;
  int64_t index_stride;
  float const* scores; /* only stored_scores */
  int64_t scores_stride;
};

/* A planned call of a combination, named as bench/matrix.py names it; null where this build lacks
   it. */
void* tka_bench_create(char const* combination, struct tka_bench_call const*,
                       struct tka_bench_plan*);
void tka_bench_destroy(void*);
/* Both return a tka::status; run only enqueues on the stream. */
int32_t tka_bench_initialize(void*, struct tka_bench_tensors const*, void* stream);
int32_t tka_bench_run(void*, struct tka_bench_tensors const*, void* stream);

char const* tka_bench_status_text(int32_t status);
/* The name of the last CUDA error of this library's runtime, which it clears. */
char const* tka_bench_last_cuda_error(void);

/* Ceilings; each is one launch and returns a cudaError_t. `sink` is 4 bytes. */
int32_t tka_bench_empty(void* stream);
int32_t tka_bench_read(void const* from, int64_t bytes, void* sink, void* stream);
/* Rows of 256 bytes at the given row numbers. */
int32_t tka_bench_gather(void const* from, int32_t const* rows, int64_t count, void* sink,
                         void* stream);
/* One thread that does nothing for so long. */
int32_t tka_bench_spin(int64_t nanoseconds, void* stream);

/* Inputs, of elements 0: fp32, 1: fp16, 2: bf16, 3: fp8. The same places have the same numbers in
   every process. */
enum tka_bench_seed {
  TKA_BENCH_SEED_VALUES = 1,
  TKA_BENCH_SEED_SCORES = 2
};
/* Rows of 128 from `first_row` of all keys on, in which every distribution of scores.hpp is hidden.
 */
int32_t tka_bench_fill_keys(void* keys, int32_t element, int64_t first_row, int64_t rows,
                            void* stream);
int32_t tka_bench_fill_normal(void* values, int32_t element, int64_t first, int64_t count,
                              uint32_t seed, void* stream);
/* On the host, rows of 128 under which scores are distributed as bench/matrix.py names it. */
void tka_bench_make_queries(void* queries, int32_t element, char const* scores, int64_t heads);

#if defined(__cplusplus)
}
#endif
