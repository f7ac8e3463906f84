#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# What a reader of the sources may rely on, and no compiler checks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
failed=0

problem() {
  echo "$1" >&2
  failed=1
}

files() { git ls-files -co --exclude-standard -- "$@" | while IFS= read -r f; do [ ! -f "$f" ] || echo "$f"; done; }

# Every source says under which licence it stands.
while IFS= read -r file; do
  head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || problem "$file: no SPDX licence line at its head"
done < <(files '*.hpp' '*.cuh' '*.cpp' '*.cu' '*.cmake' '*CMakeLists.txt' '*.sh' '*.py' '.ci/*')

# Every promise of the contract is named by a test, and no test names one that is not there.
tags() { grep -ohE '\[tka(\.[a-z0-9_]+)+\]' "$@" | sort -u || true; }
if [ -f include/tka/contract.md ]; then
  promised=$(tags include/tka/contract.md)
  mapfile -t tests < <(files 'tests/*.cpp' 'tests/*.hpp' 'tests/*.cu')
  tested=$(tags "${tests[@]}" /dev/null)
  while IFS= read -r tag; do
    [ -z "$tag" ] || problem "include/tka/contract.md promises $tag, which no test names"
  done < <(comm -23 <(echo "$promised") <(echo "$tested"))
  while IFS= read -r tag; do
    [ -z "$tag" ] || problem "a test names $tag, which include/tka/contract.md does not promise"
  done < <(comm -13 <(echo "$promised") <(echo "$tested"))
else
  problem "include/tka/contract.md is not there"
fi

# The oracle shares nothing with what it judges.
if grep -rnE '# *include *[<"](\.\./)*(include/)?tka/' tests/oracle 2>/dev/null; then
  problem "tests/oracle includes a header of the library"
fi

# The inline namespace carries the version.
version=$(sed -nE 's/^#define TKA_VERSION_(MAJOR|MINOR) ([0-9]+)$/\2/p' include/tka/version.hpp | paste -sd _)
while IFS= read -r name; do
  [[ $name == v${version}* ]] || problem "include/tka/config.hpp: TKA_ABI is $name in version ${version/_/.}"
done < <(sed -nE 's/^ *# *define TKA_ABI(_JOIN\([^)]*\))? (v.*)$/\2/p' include/tka/config.hpp)

exit $failed
