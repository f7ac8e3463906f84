# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark library through ctypes; its structures and functions are read from abi.h."""

import ctypes
import hashlib
import json
import pathlib
import re

HEADER = pathlib.Path(__file__).resolve().parent / "abi.h"
TYPES = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "float": ctypes.c_float, "double": ctypes.c_double}


class Failure(Exception):
    """What the library or the CUDA runtime said, or a result that is wrong."""


def declared(text):
    """The ABI number, {structure: ctypes class} and {function: (result, arguments)} of a header like abi.h."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    version = int(re.search(r"#define TKA_BENCH_ABI (\d+)", text)[1])
    structures = {}
    for name, body in re.findall(r"struct tka_bench_(\w+) \{(.*?)\};", text, re.DOTALL):
        fields = []
        for kind, names in re.findall(r"(\w+)\b([^;]+);", body):
            for field in names.split(","):
                fields.append((field.strip(" *"), ctypes.c_void_p if "*" in field else TYPES[kind]))
        structures[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    functions = {}
    for result, name, listed in re.findall(r"([\w ]+?\*?) tka_bench_(\w+)\(([^)]*)\);", text):
        arguments = []
        for argument in [] if listed == "void" else listed.split(","):
            if "*" in argument:
                arguments.append(ctypes.c_char_p if "char" in argument else ctypes.c_void_p)
            else:
                arguments.append(TYPES[argument.split()[0]])
        results = {"void": None, "int32_t": ctypes.c_int32, "void*": ctypes.c_void_p, "char const*": ctypes.c_char_p}
        functions[name] = (results[result.strip()], arguments)
    return version, structures, functions


ABI, STRUCTURES, FUNCTIONS = declared(HEADER.read_text("utf-8"))
ROUTES = re.findall(r'"(\w+)"', re.search(r"#define TKA_BENCH_ROUTES (.*)", HEADER.read_text("utf-8"))[1])
Call, Plan, Tensors = (STRUCTURES[name] for name in ("call", "plan", "tensors"))


class Library:
    def __init__(self, path):
        self.path = pathlib.Path(path).resolve()
        self.functions = ctypes.CDLL(str(self.path))
        if not hasattr(self.functions, "tka_bench_abi") or self.functions.tka_bench_abi() != ABI:
            raise Failure(f"{self.path}: built from another abi.h than this script reads; build it again")
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(self.functions, "tka_bench_" + name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def build(self):
        """The stamp beside the library; `stale` where it belongs to another build."""
        stamp = self.path.parent / "build.json"
        if not stamp.is_file():
            return {"stale": True}
        found = json.loads(stamp.read_text("utf-8"))
        found["stale"] = found["library_sha256"] != hashlib.sha256(self.path.read_bytes()).hexdigest()
        return found

    def check(self, status, what):
        """Of create, initialize and run, which return a tka::status."""
        if status != 0:
            error = self.last_cuda_error().decode()
            said = self.status_text(status).decode()
            raise Failure(f"{what}: {said}" + ("" if error == "cudaSuccess" else f" [{error}]"))

    def check_cuda(self, error, what):
        """Of all others, which return a cudaError_t."""
        if error != 0:
            raise Failure(f"{what}: cudaError_t {error}")


class Planned:
    """A planned call of a combination, task/selection/scope/precision/kv as in bench/points.py."""

    def __init__(self, library, combination, **numbers):
        self.library = library
        self.plan = Plan()
        self.handle = library.create(combination.encode(), ctypes.byref(Call(**numbers)), ctypes.byref(self.plan))
        if not self.handle:
            raise Failure(f"this build has no {combination}")
        library.check(self.plan.status, "plan")

    def initialize(self, tensors, stream):
        self.library.check(self.library.initialize(self.handle, ctypes.byref(tensors), stream), "initialize")

    def run(self, tensors, stream):
        status = self.library.run(self.handle, ctypes.byref(tensors), stream)
        if status != 0:
            self.library.check(status, "run")

    def close(self):
        if self.handle:
            self.library.destroy(self.handle)
            self.handle = None
