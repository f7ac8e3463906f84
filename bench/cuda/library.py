# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark library through ctypes; the structures are those of bench_abi.h."""

import ctypes
import hashlib
import json
import pathlib

ABI = 3


def structure(fields):
    """A ctypes structure from 'type: names' lines."""
    types = {
        "int32": ctypes.c_int32,
        "int64": ctypes.c_int64,
        "float": ctypes.c_float,
        "pointer": ctypes.c_void_p,
    }
    listed = []
    for kind, names in fields:
        listed += [(name, types[kind]) for name in names.split()]
    return type("Structure", (ctypes.Structure,), {"_fields_": listed})


Call = structure(
    [
        ("int32", "batch q_heads kv_heads q_len kv_len head_dim k page_size index_heads visible"),
        ("float", "scale recall"),
        ("int32", "workers query_tile stages"),
    ]
)
Plan = structure(
    [
        ("int32", "status capacity scope_heads phases workers query_tile splits stages buckets per_bucket"),
        ("int64", "scratch_bytes state_bytes"),
    ]
)
Tensors = structure(
    [
        ("pointer", "q k v o lengths"),
        ("int64", "batch_stride head_stride"),
        ("pointer", "positions count lse lse_visible error scratch state"),
        ("pointer", "block_table"),
        ("int64", "table_stride pages"),
        ("pointer", "index_q index_k index_weights"),
        ("int64", "index_stride"),
        ("pointer", "scores"),
        ("int64", "scores_stride"),
    ]
)


class Failure(Exception):
    """What the library or the CUDA runtime said."""


class Library:
    def __init__(self, path):
        self.path = pathlib.Path(path).resolve()
        self.functions = ctypes.CDLL(str(self.path))
        if not hasattr(self.functions, "tka_bench_abi") or self.functions.tka_bench_abi() != ABI:
            raise Failure(f"{self.path}: built from other sources than this script's; build it again")
        signatures = {
            "create": (ctypes.c_void_p, [ctypes.c_char_p, ctypes.POINTER(Call), ctypes.POINTER(Plan)]),
            "destroy": (None, [ctypes.c_void_p]),
            "initialize": (ctypes.c_int32, [ctypes.c_void_p, ctypes.POINTER(Tensors), ctypes.c_void_p]),
            "run": (ctypes.c_int32, [ctypes.c_void_p, ctypes.POINTER(Tensors), ctypes.c_void_p]),
            "status_text": (ctypes.c_char_p, [ctypes.c_int32]),
            "last_cuda_error": (ctypes.c_char_p, []),
            "empty": (ctypes.c_int32, [ctypes.c_void_p]),
            "read": (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]),
            "gather": (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64] + 2 * [ctypes.c_void_p]),
            "fill_keys": (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, *2 * [ctypes.c_int64], ctypes.c_void_p]),
            "fill_normal": (
                ctypes.c_int32,
                [ctypes.c_void_p, ctypes.c_int32, *2 * [ctypes.c_int64], ctypes.c_uint32, ctypes.c_void_p],
            ),
            "make_queries": (None, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p, ctypes.c_int64]),
        }
        for name, (result, arguments) in signatures.items():
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

    def text(self, status):
        error = self.last_cuda_error().decode()
        said = self.status_text(status).decode()
        return said if error == "cudaSuccess" else f"{said} [{error}]"

    def check(self, status, what):
        if status != 0:
            raise Failure(f"{what}: {self.text(status)}")

    def check_cuda(self, error, what):
        if error != 0:
            raise Failure(f"{what}: cudaError_t {error}")


class Planned:
    """One planned call of a combination, task/selection/scope/precision/kv as in bench/matrix.py."""

    def __init__(self, library, combination, **numbers):
        self.library = library
        self.handle = None
        call = Call(**numbers)
        self.plan = Plan()
        self.handle = library.create(combination.encode(), ctypes.byref(call), ctypes.byref(self.plan))
        if not self.handle:
            raise Failure(f"this build has no {combination}")
        library.check(self.plan.status, "plan")

    def initialize(self, tensors, stream):
        self.library.check(self.library.initialize(self.handle, ctypes.byref(tensors), stream), "initialize")

    def run(self, tensors, stream):
        status = self.library.run(self.handle, ctypes.byref(tensors), stream)
        if status != 0:
            self.library.check(status, "run")

    def numbers(self):
        return {name: getattr(self.plan, name) for name, _ in Plan._fields_ if name != "status"}

    def close(self):
        if self.handle:
            self.library.destroy(self.handle)
            self.handle = None
