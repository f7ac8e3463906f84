#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of check_sass.py, on a made-up listing."""

import sys
import unittest

sys.dont_write_bytecode = True
import check_sass  # noqa: E402

CUDA = "tka::v0_1_cuda_800_0_0_0::detail::cuda::"


def kernel(name, selection, precision, instructions, architecture="sm_80"):
    problem = f"tka::v0_1_cuda_800_0_0_0::detail::problem<{selection}, {precision}, form<kv::paged>, (task)1>"
    return check_sass.Kernel(architecture, f"void {CUDA}{name}<{problem}, 8>(launch_arguments<{problem} >)", instructions)


def whole(architecture="sm_80"):
    """A kernel of each kind that must be there."""
    return [kernel(name, "tka::exact_radix", f"tka::{precision}", 4, architecture)
            for name in ("score_kernel", "attend_kernel") for precision in ("bf16", "fp8_with<tka::bf16>")]


class CheckSass(unittest.TestCase):
    def problems(self, *more):
        return check_sass.problems_of([*whole(), *more])[0]

    def test_whole(self):
        self.assertEqual(self.problems(), [])

    def test_without_tensor_cores(self):
        for name in ("scan_kernel", "score_kernel", "attend_kernel", "sum_values_kernel", "attention_kernel", "new_score_pass"):
            for precision in ("tka::fp16", "tka::bf16", "tka::fp8_with<tka::fp16>"):
                self.assertEqual(len(self.problems(kernel(name, "tka::exact_radix", precision, 0))), 1, (name, precision))

    def test_fp32_needs_none(self):
        for precision in ("tka::fp32", "tka::fp8_with<tka::fp32>"):
            self.assertEqual(self.problems(kernel("score_kernel", "tka::exact_radix", precision, 0)), [])

    def test_others_need_none(self):
        self.assertEqual(self.problems(kernel("select_rows_kernel", "tka::stored_scores<tka::exact_radix>", "tka::bf16", 0)), [])

    def test_an_indexer_scores_in_its_own_precision(self):
        indexer = "tka::lightning_indexer<tka::exact_radix, {}, tka::index_layout::plain>"
        self.assertEqual(len(self.problems(kernel("score_kernel", indexer.format("tka::index_fp8"), "tka::fp32", 0))), 1)
        self.assertEqual(self.problems(kernel("score_kernel", indexer.format("tka::fp32"), "tka::bf16", 0)), [])
        self.assertEqual(self.problems(kernel("attend_kernel", indexer.format("tka::index_fp8"), "tka::fp32", 0)), [])

    def test_given_scores_are_not_multiplied(self):
        stored = "tka::stored_scores<tka::exact_radix>"
        self.assertEqual(self.problems(kernel("score_kernel", stored, "tka::bf16", 0)), [])
        self.assertEqual(len(self.problems(kernel("attend_kernel", stored, "tka::bf16", 0))), 1)

    def test_a_precision_that_is_not_known(self):
        self.assertEqual(len(self.problems(kernel("score_kernel", "tka::exact_radix", "tka::fp4", 4))), 1)

    def test_what_is_not_there(self):
        self.assertEqual(len(check_sass.problems_of(whole()[1:])[0]), 1)
        self.assertEqual(len(check_sass.problems_of([*whole(), *whole("sm_90a")[1:]])[0]), 1)
        self.assertTrue(check_sass.problems_of([])[0])

    def test_listing(self):
        listing = """Fatbin elf code:
arch = sm_80
		Function : _Z1a
        /*0010*/                   HMMA.16816.F32.BF16 R4, R8, R10, R4 ;
        /*0020*/                   FFMA R1, R2, R3, R4 ;
		Function : _Z1b
        /*0010*/                   FFMA R1, R2, R3, R4 ;
Fatbin elf code:
arch = sm_90a
		Function : _Z1a
        /*0010*/                   HGMMA.64x8x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*0020*/                   HMMA.16816.F32.BF16 R4, R8, R10, R4 ;
"""
        self.assertEqual(check_sass.kernels_in(listing.splitlines()),
                         [("sm_80", "_Z1a", 1), ("sm_80", "_Z1b", 0), ("sm_90a", "_Z1a", 2)])


if __name__ == "__main__":
    unittest.main()
