#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

# check_format.sh          fails where a C++ source is not as clang-format 16 would write it
# check_format.sh --fix    writes it so
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(--dry-run -Werror)
[ "${1:-}" != --fix ] || mode=(-i)
git ls-files -z -co --exclude-standard -- '*.hpp' '*.cuh' '*.cpp' '*.cu' |
  xargs -0 -r clang-format-16 "${mode[@]}"
