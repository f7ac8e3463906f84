#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# Breaks a copy of the library in one place at a time and runs the test that must notice.
#
#   run.sh [--only NAME]... [--jobs N] [--sanitize LIST]
#   run.sh --list
#
# A mutation is a file NAME.mutation beside this script:
#
#   file: include/tka/...        the file that is broken
#   test: select_ties_test       the test program that must notice
#   case: *ties*                 optional, a filter for its test cases
#   why: lower index wins        what the mutation breaks
#   --- from
#   text that stands exactly once in the file, of any number of lines
#   --- to
#   text that replaces it
#
# caught     the test passed before, and fails with the mutation: an assertion, a crash, a hang
# SURVIVED   the test still passes
# INVALID    the text is not there exactly once, the broken library does not compile, the program
#            does not change, or the test fails without the mutation
#
# Exits with 0 where all are caught.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
jobs=$(nproc)
sanitize=""
only=()
list=no
seconds_per_test=300

usage() { sed -n '7,8s/^# *//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    --only) [ $# -ge 2 ] || usage; only+=("${2%.mutation}"); shift ;;
    --jobs) [ $# -ge 2 ] || usage; jobs=$2; shift ;;
    --sanitize) [ $# -ge 2 ] || usage; sanitize=$2; shift ;;
    --list) list=yes ;;
    *) usage ;;
  esac
  shift
done

# field MUTATION NAME: the value of one head line, or nothing.
field() { sed -n "/^--- from\$/q; s/^$2: *//p" "$here/$1.mutation" | head -n 1; }

names=()
for path in "$here"/*.mutation; do
  [ -f "$path" ] || continue
  name=$(basename "$path" .mutation)
  if [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $name "* ]]; then names+=("$name"); fi
done
[ ${#names[@]} -gt 0 ] || { echo "no mutation to run" >&2; exit 2; }
[ ${#only[@]} -eq 0 ] || [ ${#names[@]} -eq ${#only[@]} ] || { echo "not all of these exist: ${only[*]}" >&2; exit 2; }

if [ "$list" = yes ]; then
  for name in "${names[@]}"; do printf '%-32s %-36s %s\n' "$name" "$(field "$name" test)" "$(field "$name" why)"; done
  exit 0
fi

work=$(mktemp -d)
cleanup() {
  trap - EXIT INT TERM
  local pids
  pids=$(jobs -p)
  [ -z "$pids" ] || kill $pids 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Whole contents, final newlines included: $(...) alone would drop them.
contents() { cat "$1" && printf x; }

# mutate MUTATION ORIGINAL RESULT: writes RESULT, or prints why it cannot.
mutate() {
  local description text from to rest
  description=$(contents "$here/$1.mutation")
  description=${description%x}
  from=${description#*$'\n'--- from$'\n'}
  [ "$from" != "$description" ] || { echo "no line '--- from'"; return 1; }
  to=${from#*$'\n'--- to$'\n'}
  [ "$to" != "$from" ] || { echo "no line '--- to'"; return 1; }
  from=${from%%$'\n'--- to$'\n'*}
  to=${to%$'\n'}
  text=$(contents "$2")
  text=${text%x}
  rest=${text#*"$from"}
  [ "$rest" != "$text" ] || { echo "the text does not stand in the file"; return 1; }
  case $rest in *"$from"*) echo "the text stands more than once in the file"; return 1 ;; esac
  [ "$from" != "$to" ] || { echo "nothing is replaced"; return 1; }
  printf '%s' "${text%%"$from"*}$to$rest" >"$3"
}

# Runs one test program with the case filter of a mutation.
run_test() {
  local program=$1 filter=$2
  { # a crash is expected here: the shell need not report it
    timeout --kill-after=5 $seconds_per_test "$program" ${filter:+"--test-case=$filter"} >"$3" 2>&1 </dev/null
  } 2>/dev/null
}

# One worker: a copy of the tree, one build folder, its mutations one after the other.
worker() {
  local id=$1 name test filter file program tree build log reason status by
  shift
  tree=$work/$id/tree
  build=$work/$id/build
  log=$work/$id/log
  mkdir -p "$tree" "$build"
  declare -A sum_of=() baseline_of=()
  (cd "$top" && tar -c --exclude=./build --exclude=./.git .) | tar -x -C "$tree"
  if ! cmake -S "$tree" -B "$build" -G Ninja -D CMAKE_BUILD_TYPE=Release -D CMAKE_CXX_FLAGS_RELEASE=-O1 \
    -D CMAKE_CXX_FLAGS=-w -D TKA_MARCH=native -D TKA_SANITIZE="$sanitize" -D TKA_BUILD_EXAMPLES=OFF -D TKA_BUILD_BENCH=OFF >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi

  for name in "$@"; do
    test=$(field "$name" test)
    filter=$(field "$name" case)
    file=$(field "$name" file)
    program=$build/tests/$test
    status=INVALID
    reason=""
    by=""
    if [ ! -f "$tree/$file" ]; then
      reason="there is no file '$file'"
    elif [ -z "$test" ]; then
      reason="no line 'test: '"
    elif ! reason=$(mutate "$name" "$tree/$file" "$work/$id/mutated"); then
      :
    else
      # The library as it is: builds, and passes exactly this.
      if [ -z "${sum_of[$test]:-}" ]; then
        if ninja -C "$build" -j 1 "$test" >"$log" 2>&1 && [ -x "$program" ]; then
          sum_of[$test]=$(cksum <"$program")
          cp "$program" "$work/$id/$test.whole"
        else
          sum_of[$test]=none
        fi
      fi
      if [ "${sum_of[$test]}" != none ] && [ -z "${baseline_of[$test|$filter]:-}" ]; then
        if run_test "$work/$id/$test.whole" "$filter" "$log"; then
          baseline_of[$test|$filter]=passes
        else
          baseline_of[$test|$filter]=fails
        fi
      fi
      if [ "${sum_of[$test]}" = none ]; then
        reason="$test does not build without the mutation"
      elif [ "${baseline_of[$test|$filter]}" = fails ]; then
        reason="$test fails without the mutation"
      else
        # Written anew, so newer than every object; ninja builds what depends on it.
        cp "$tree/$file" "$work/$id/original"
        cp "$work/$id/mutated" "$tree/$file"
        if ! ninja -C "$build" -j 1 "$test" >"$log" 2>&1; then
          reason="does not compile: $(grep -m 1 'error: ' "$log" || true)"
        elif [ "$(cksum <"$program")" = "${sum_of[$test]}" ]; then
          reason="$test is the same program with it"
        elif run_test "$program" "$filter" "$log"; then
          status=SURVIVED
          reason="why: $(field "$name" why)"
        else
          case $? in
            124 | 137) by="a hang" ;;
            1) by="'$(sed -nE 's/^TEST CASE: +//p' "$log" | head -n 1)'" ;;
            *) by="a crash in '$(sed -nE 's/^TEST CASE: +//p' "$log" | head -n 1)'" ;;
          esac
          status=caught
          reason="by $by"
        fi
        cp "$work/$id/original" "$tree/$file"
      fi
    fi
    printf '%-9s %-32s %-36s %s\n' "$status" "$name" "$test" "$reason" | tee -a "$work/$id/results"
  done
}

# Sorted by test program, in runs of equal length: few programs are built by more than one worker.
mapfile -t sorted < <(for name in "${names[@]}"; do echo "$(field "$name" test) $name"; done | sort | sed 's/.* //')
[ "$jobs" -le ${#sorted[@]} ] || jobs=${#sorted[@]}
share=$(((${#sorted[@]} + jobs - 1) / jobs))
pids=()
for ((i = 0; i * share < ${#sorted[@]}; i++)); do
  mkdir -p "$work/$i"
  worker "$i" "${sorted[@]:i * share:share}" &
  pids+=($!)
done
ok=yes
for pid in "${pids[@]}"; do wait "$pid" || ok=no; done

caught=$(cat "$work"/*/results | grep -c '^caught ' || true)
survived=$(cat "$work"/*/results | grep -c '^SURVIVED ' || true)
invalid=$(cat "$work"/*/results | grep -c '^INVALID ' || true)
echo "${#names[@]} mutations: $caught caught, $survived survived, $invalid invalid"
[ "$ok" = yes ] && [ "$caught" -eq ${#names[@]} ]
