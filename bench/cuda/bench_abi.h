// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the benchmark library offers to decode.py: plain C, loaded by ctypes. decode.py repeats
/// these structures field by field.

#pragma once

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

enum tka_bench_task { TKA_BENCH_ATTEND = 0, TKA_BENCH_SELECT = 1, TKA_BENCH_ATTEND_SELECTED = 2 };
enum tka_bench_selection { TKA_BENCH_EXACT_RADIX = 0, TKA_BENCH_BUCKETED = 1 };
enum tka_bench_scope { TKA_BENCH_QUERY_HEAD = 0, TKA_BENCH_KV_GROUP = 1 };

struct tka_bench_call {
  int32_t task;
  int32_t selection; /* not read by TKA_BENCH_ATTEND_SELECTED */
  int32_t scope;
  int32_t batch;
  int32_t q_heads;
  int32_t kv_heads;
  int32_t q_len;
  int32_t kv_len; /* the bound of the plan; real lengths are in tka_bench_tensors */
  int32_t head_dim;
  int32_t k;
  float scale;
  float recall;       /* only TKA_BENCH_BUCKETED */
  int32_t workers;    /* these three: another schedule than the plan's; 0: its own */
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
  int64_t scratch_bytes;
  int64_t state_bytes;
};

/* Device memory. q and o are packed [batch, q_heads, q_len, head_dim], positions
   [batch, scope_heads, q_len, capacity], count [batch, scope_heads, q_len]; k and v have strides
   in elements from one sequence and one head to the next. Null: not made. */
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
  uint32_t* error;
  void* scratch;
  void* state;
};

/* A planned call, or null where this build lacks the instance. */
void* tka_bench_create(struct tka_bench_call const*, struct tka_bench_plan*);
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

#if defined(__cplusplus)
}
#endif
