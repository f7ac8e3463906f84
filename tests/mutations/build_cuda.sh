#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# Mutations of the CUDA backend: built where there is a compiler, run where there is a GPU.
#
#   build_cuda.sh OUT [NAME]...   builds, for each cuda/*.mutation (or those named), the test that must
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
[ $# -ge 1 ] || { sed -n '6,8s/^# *//p' "$0" >&2; exit 2; }
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
(cd "$top" && tar -c --exclude=./build --exclude=./.git .) | tar -x -C "$work" --one-top-level=tree

# Without the instances that tests share: a program compiles what it uses, and nothing else.
cmake -S "$work/tree" -B "$work/build" -G Ninja -D CMAKE_BUILD_TYPE=Release -D TKA_CUDA=ON \
  -D TKA_CUDA_SHARED_INSTANCES=OFF -D CMAKE_CUDA_ARCHITECTURES="${TKA_CUDA_ARCHITECTURES:-90a-real}" \
  -D TKA_BUILD_EXAMPLES=OFF -D TKA_BUILD_BENCH=OFF >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

# build TEST RESULT: copies the program to RESULT, or fails.
build() {
  ninja -C "$work/build" "$1" >"$work/log" 2>&1 && cp "$work/build/cuda_tests/$1" "$2"
}

failed=0
: >"$out/list"
for name in "${names[@]}"; do
  description=$here/cuda/$name.mutation
  field() { sed -n "/^--- from\$/q; s/^$1: *//p" "$description" | head -n 1; }
  file=$work/tree/$(field file)
  test=$(field test)
  filter=$(field case)
  filter=${filter:-*}
  cp "$file" "$work/original"
  reason=""
  [ -x "$out/$test.whole" ] || build "$test" "$out/$test.whole" || reason="$test does not build"
  if [ -z "$reason" ] && ! reason=$(python3 -B "$here/mutate.py" "$description" "$file"); then
    :
  elif [ -z "$reason" ]; then
    build "$test" "$out/$name.mutant" || reason="does not compile: $(grep -m 1 'error' "$work/log" || true)"
    [ -n "$reason" ] || ! cmp -s "$out/$name.mutant" "$out/$test.whole" || reason="$test is the same program with it"
  fi
  cp "$work/original" "$file"
  if [ -n "$reason" ]; then
    printf 'INVALID   %-40s %s\n' "$name" "$reason"
    failed=1
  else
    printf '%s\t%s\t%s\t%s\n' "$name" "$test" "$filter" "$(field why)" >>"$out/list"
    printf 'built     %-40s %s\n' "$name" "$test"
  fi
done
cp "$here/run_cuda.sh" "$out/run.sh"
exit $failed
