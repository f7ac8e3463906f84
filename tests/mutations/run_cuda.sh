#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# Runs what build_cuda.sh built, in the folder where this stands; needs a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export TKA_REQUIRE_GPU=1
seconds=120
caught=0
total=0
declare -A baseline=()

# A hang or a fault of the GPU counts as noticed.
run() { timeout --kill-after=5 $seconds "$1" ${2:+"--test-case=$2"} >last.log 2>&1 </dev/null; }

while IFS=$'\t' read -r name test filter why; do
  total=$((total + 1))
  if [ -z "${baseline["$test|$filter"]:-}" ]; then
    if run "./$test.whole" "$filter"; then baseline["$test|$filter"]=passes; else baseline["$test|$filter"]=fails; fi
  fi
  if [ "${baseline["$test|$filter"]}" = fails ]; then
    word=INVALID why="$test fails without the mutation"
  elif run "./$name.mutant" "$filter"; then
    word=SURVIVED
  else
    word=caught
    caught=$((caught + 1))
    by=$(sed -nE '/^TEST CASE: +/{s///p;q}' last.log)
    why="by ${by:-a crash or a hang}"
  fi
  printf '%-9s %-40s %-36s %s\n' "$word" "$name" "$test" "$why"
done <list
echo "$total mutations: $caught caught"
[ "$caught" -eq "$total" ] && [ "$total" -gt 0 ]
