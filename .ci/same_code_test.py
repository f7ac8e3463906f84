#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""Tests of same_code.py, on what the host's compiler makes and on made-up device code."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import same_code  # noqa: E402

FUNCTION = """
namespace { struct hidden { float x; }; }
template <class T> float of(T t) { return t.x * %s; }
float call(float x) { return of(hidden{x}); }
char const* name() { return "%s"; }
__attribute__((section(".nv_fatbin"), used)) static char const fatbin[] = "%s";
"""


class SameCode(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.made = 0
        self.device = {}
        self.addCleanup(setattr, same_code, "device_code", same_code.device_code)
        same_code.device_code = lambda path: self.device[path]

    def compiled(self, source, device=None):
        """An object file of `source`; its device code is an object file itself."""
        self.made += 1
        at = pathlib.Path(self.folder.name) / f"{self.made}.o"
        # The name of the source stands in the object: it is always the same one.
        subprocess.run(["g++", "-std=c++20", "-O2", "-g", "-x", "c++", "-c", "-o", at, "-"], input=source, text=True, check=True)
        self.device[at] = {} if device is None else {"a.sm_90a.cubin": device.read_bytes()}
        return at

    def host(self, factor="2", name="name", fatbin="packed", above="", device=None):
        return self.compiled(above + FUNCTION % (factor, name, fatbin), device or self.compiled("int f() { return 1; }"))

    def test_lines_are_no_code(self):
        self.assertEqual(same_code.difference(self.host(), self.host(above="\n// Explained.\n")), "")

    def test_the_process_is_no_code(self):
        def of(process):
            internal = f"_ZN53_GLOBAL__N__11787fa4_14_append_test_cu_a6a67bce_{process}6storesE"
            return self.host(name=f"tmpxft_{process:08x}", above=f"int {internal} = 1;")
        self.assertEqual(same_code.difference(of(24172), of(16739)), "")

    def test_instructions(self):
        self.assertIn("the host's ", same_code.difference(self.host(), self.host(factor="3")))

    def test_constants(self):
        self.assertIn(".rodata", same_code.difference(self.host(), self.host(name="nome")))

    def test_device_code(self):
        one, two = (self.compiled(f"int f() {{ return {n}; }}") for n in (1, 2))
        moved = self.compiled("// Explained.\nint f() { return 1; }")
        self.assertEqual(same_code.difference(self.host(device=one), self.host(device=moved, fatbin="packet")), "")
        self.assertEqual(same_code.difference(self.host(device=one), self.host(device=two, fatbin="packet")), "a.sm_90a.cubin's .text")

    def test_device_code_that_is_not_found(self):
        a, b = self.host(), self.host(fatbin="packet")
        self.device[a] = self.device[b] = {}
        self.assertIn("device code", same_code.difference(a, b))


if __name__ == "__main__":
    unittest.main()
