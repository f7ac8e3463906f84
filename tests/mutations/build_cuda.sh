#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# Mutations of the CUDA backend: built where there is a compiler, run where there is a GPU.
#
#   build_cuda.sh [--jobs N] OUT [NAME]...
#                                 builds, for each cuda/*.mutation (or those named), the test that must
#                                 notice, with and without the mutation, into OUT
#   OUT/run.sh                    runs them there; exits with 0 where all are caught
#
# A mutation is written as those beside run.sh are; `test:` names a program of the target cuda_tests.
# caught     the test passes without the mutation and fails with it
# SURVIVED   the test still passes
# INVALID    the text is not there exactly once, it does not compile, or the test fails without it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
jobs=$(nproc)
usage() { sed -n '8,11s/^# *//p' "$0" >&2; exit 2; }
if [ "${1:-}" = --jobs ]; then
  [ $# -ge 2 ] || usage
  jobs=$2
  shift 2
fi
[ $# -ge 1 ] || usage
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for path in "$here"/cuda/*.mutation; do [ ! -f "$path" ] || names+=("$(basename "$path" .mutation)"); done
fi
[ ${#names[@]} -gt 0 ] || { echo "no mutation to build" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# field MUTATION NAME: the value of one head line, or nothing.
field() { sed -n "/^--- from\$/q; s/^$2: *//p" "$here/cuda/$1.mutation" | head -n 1; }

# Without the instances that tests share: a program compiles what it uses, and nothing else.
configure() {
  mkdir -p "$1"
  (cd "$top" && tar -c --exclude=./build --exclude=./.git .) | tar -x -C "$1" --one-top-level=tree
  cmake -S "$1/tree" -B "$1/build" -G Ninja -D CMAKE_BUILD_TYPE=Release -D TKA_CUDA=ON \
    -D TKA_CUDA_SHARED_INSTANCES=OFF -D CMAKE_CUDA_ARCHITECTURES="${TKA_CUDA_ARCHITECTURES:-90a-real}" \
    -D TKA_BUILD_EXAMPLES=OFF -D TKA_BUILD_BENCH=OFF >"$1/log" 2>&1 || { cat "$1/log" >&2; return 1; }
}

# build FOLDER TEST RESULT: copies the program to RESULT, or fails.
build() {
  ninja -C "$1/build" "$2" >"$1/log" 2>&1 && cp "$1/build/cuda_tests/$2" "$3"
}

# One program with the mutations that it must notice, in a copy of the tree of its own.
build_test() {
  local test=$1 own=$work/$1 name file whole="" reason filter
  configure "$own" || return 1
  build "$own" "$test" "$out/$test.whole" || whole="$test does not build: $(grep -m 1 'error' "$own/log" || true)"
  for name in "${names[@]}"; do
    [ "$(field "$name" test)" = "$test" ] || continue
    file=$own/tree/$(field "$name" file)
    reason=$whole
    if [ -n "$reason" ]; then
      :
    elif [ ! -f "$file" ]; then
      reason="there is no file '$(field "$name" file)'"
    else
      cp "$file" "$own/original"
      if reason=$(python3 -B "$here/mutate.py" "$here/cuda/$name.mutation" "$file"); then
        if ! build "$own" "$test" "$out/$name.mutant"; then
          reason="does not compile: $(grep -m 1 'error' "$own/log" || true)"
        elif cmp -s "$out/$name.mutant" "$out/$test.whole"; then
          reason="$test is the same program with it"
        fi
      fi
      cp "$own/original" "$file"
    fi
    if [ -n "$reason" ]; then
      printf 'INVALID   %-40s %s\n' "$name" "$reason"
      touch "$work/failed"
    else
      filter=$(field "$name" case)
      printf '%s\t%s\t%s\t%s\n' "$name" "$test" "${filter:-*}" "$(field "$name" why)" >>"$own/list"
      printf 'built     %-40s %s\n' "$name" "$test"
    fi
  done
}

mapfile -t tests < <(for name in "${names[@]}"; do field "$name" test; done | sort -u)
for test in "${tests[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  { build_test "$test" || touch "$work/failed"; } &
done
wait
cat "$work"/*/list >"$out/list" 2>/dev/null || true
cp "$here/run_cuda.sh" "$out/run.sh"
[ ! -e "$work/failed" ]
