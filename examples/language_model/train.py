# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0
"""Trains and evaluates the small language model of this example.

The model predicts the next byte of source text. It is a decoder with grouped-query attention, rotary positions and a
context of 8,192 bytes, small enough to ship (2.75 million weights) and trained on text that any machine with Python
has: the standard library and the installed packages. Names, signatures and phrases recur over thousands of bytes
there, so a model that forgets its context predicts worse, and one that keeps only the right part of it does not.

    python train.py train --seconds 400     # needs a GPU; writes weights.safetensors and sample.safetensors
    python train.py evaluate                # dense, exact top-k, recent and random keys on text.txt

Needs PyTorch 2.6 or newer, NumPy and safetensors.
"""

import argparse
import hashlib
import math
import multiprocessing
import os
import pathlib
import sysconfig
import time

import numpy
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
VOCAB = 256  # bytes
SEPARATOR = b"\0"  # between two files; no source file holds this byte

# The modules of text.txt. Nothing of these names is trained on, nor their tests; `HeldOut` says what else is left out.
HELD_OUT = ("ttk",)


# ---- model ----------------------------------------------------------------------------------------------------------


class Block(torch.nn.Module):
    """Attention, then a gated MLP, each behind an RMS norm and added to the residual stream."""

    def __init__(self, shape):
        super().__init__()
        width, mlp = shape["width"], shape["mlp_width"]
        queries, keys = shape["q_heads"] * shape["head_dim"], shape["kv_heads"] * shape["head_dim"]
        self.head_dim, self.norm_eps = shape["head_dim"], shape["norm_eps"]
        self.attention_norm = torch.nn.Parameter(torch.ones(width))
        self.wq = matrix(queries, width)
        self.wk = matrix(keys, width)
        self.wv = matrix(keys, width)
        self.wo = matrix(width, queries, gain=0)  # a fresh block adds nothing: deep stacks start as shallow ones
        self.mlp_norm = torch.nn.Parameter(torch.ones(width))
        self.w_gate = matrix(mlp, width)
        self.w_up = matrix(mlp, width)
        self.w_down = matrix(width, mlp, gain=0)

    def project(self, x, cos, sin):
        """Queries, keys and values of `x`, [batch, heads, positions, head_dim], queries and keys rotated."""
        h = rms_norm(x, self.attention_norm, self.norm_eps)
        q, k, v = (
            F.linear(h, w).unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for w in (self.wq, self.wk, self.wv)
        )
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def finish(self, x, attended):
        """The rest of the block, given what the heads read."""
        x = x + F.linear(attended.transpose(1, 2).flatten(2), self.wo)
        h = rms_norm(x, self.mlp_norm, self.norm_eps)
        return x + F.linear(F.silu(F.linear(h, self.w_gate)) * F.linear(h, self.w_up), self.w_down)


class Model(torch.nn.Module):
    def __init__(self, shape, context):
        super().__init__()
        self.shape = shape
        self.embed = torch.nn.Parameter(0.1 * torch.randn(VOCAB, shape["width"]))
        self.layers = torch.nn.ModuleList(Block(shape) for _ in range(shape["layers"]))
        self.final_norm = torch.nn.Parameter(torch.ones(shape["width"]))
        self.head = matrix(VOCAB, shape["width"], gain=0)
        half = shape["head_dim"] // 2  # angles in double: at position 8,000 a float is off by 1e-4
        frequency = shape["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.outer(torch.arange(context, dtype=torch.float64), frequency)
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, tokens):
        """Logits of the byte after each of `tokens`, [batch, positions, 256], attending densely."""
        x = self.embed[tokens]
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for layer in self.layers:
            q, k, v = layer.project(x, cos, sin)
            x = layer.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
        return self.logits(x)

    def logits(self, x):
        return F.linear(rms_norm(x, self.final_norm, self.shape["norm_eps"]), self.head)


def matrix(rows, columns, gain=1.0):
    return torch.nn.Parameter(gain * torch.randn(rows, columns) / math.sqrt(columns))


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def rotate(x, cos, sin):
    """Rotary positions over half-split pairs: component i turns with component i + head_dim / 2."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


# ---- corpus ---------------------------------------------------------------------------------------------------------


class HeldOut:
    """Recognises files that would leak the evaluation text into training: its modules, their tests, and any copy,
    older version or excerpt, wherever it lies and whatever it is called."""

    long_line = 60
    run = 3  # so many consecutive short lines in common also give a copy away

    def __init__(self, texts, names):
        forms = ("{}", "_{}", "_py{}", "test{}", "test_{}", "{}_test")
        self.stems = {form.format(name.lower()) for name in names for form in forms}
        self.digests = {hashlib.sha256(text).digest() for text in texts}
        self.shingles = set().union(*map(self._shingles, texts))

    def __call__(self, path, text):
        parts = {part.lower().removesuffix(".py") for part in pathlib.PurePath(path).parts}
        if parts & self.stems or hashlib.sha256(text).digest() in self.digests:
            return True
        return not self.shingles.isdisjoint(self._shingles(text))

    def _shingles(self, text):
        lines = [line for line in map(bytes.strip, text.split(b"\n")) if len(line) > 12]
        found = {line for line in lines if len(line) >= self.long_line}
        found.update(b"\n".join(lines[i : i + self.run]) for i in range(len(lines) - self.run + 1))
        return found


def read_files(folder_files):
    """The usable files of one folder, in order; None stands for a file held out."""
    held_out, files = folder_files
    kept = []
    for path, relative in files:
        try:
            text = pathlib.Path(path).read_bytes()
        except OSError:
            continue
        # Very long files are tables written by programs; they would teach digits.
        if 256 <= len(text) <= 1_000_000 and SEPARATOR not in text:
            kept.append(None if held_out(relative, text) else text)
    return kept


def read_corpus(roots, held_out, limit):
    """All *.py files under `roots`, each content once, sorted by path so that related files are neighbours.

    Returns the text, files joined by SEPARATOR, and the counts of files kept and held out.
    """
    folders, seen_folders = [], set()
    for root in roots:
        for folder, subfolders, names in os.walk(root):
            subfolders.sort()
            if os.path.realpath(folder) in seen_folders:  # site-packages may lie inside the standard library
                subfolders.clear()
                continue
            seen_folders.add(os.path.realpath(folder))
            files = [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
            files = [(file, os.path.relpath(file, root)) for file in files]
            if files:
                folders.append((held_out, files))

    pieces, size, left_out, seen = [], 0, 0, set()
    with multiprocessing.get_context("fork").Pool() as pool:
        for kept in pool.imap(read_files, folders, chunksize=16):
            for text in kept:
                if text is None:
                    left_out += 1
                    continue
                digest = hashlib.sha256(text).digest()
                if digest in seen or size > limit:
                    continue
                seen.add(digest)
                pieces.append(text + SEPARATOR)
                size += len(text) + 1
    return b"".join(pieces), len(pieces), left_out


class Windows:
    """Windows of the corpus in an order that the seed alone decides. Each pass shifts the cuts between windows."""

    def __init__(self, corpus, seed, device):
        self.corpus = torch.from_numpy(numpy.frombuffer(corpus, dtype=numpy.uint8).copy()).to(device)
        self.random = torch.Generator().manual_seed(seed)
        self.starts, self.length = torch.empty(0, dtype=torch.int64), None

    def next(self, count, length):
        """`count` windows of `length` bytes and the bytes that follow each of theirs."""
        if length != self.length or len(self.starts) < count:
            self.length = length
            shift = int(torch.randint(length, (1,), generator=self.random))
            windows = (len(self.corpus) - shift - 1) // length
            self.starts = shift + length * torch.randperm(windows, generator=self.random)
        starts, self.starts = self.starts[:count], self.starts[count:]
        at = starts.to(self.corpus.device)[:, None] + torch.arange(length + 1, device=self.corpus.device)
        return self.corpus[at[:, :-1]].long(), self.corpus[at[:, 1:]].long()


# ---- training -------------------------------------------------------------------------------------------------------


class Muon:
    """Momentum whose update is made orthogonal, for the matrices inside the blocks. In a training of minutes it gets
    further than Adam. Matrices of one shape are updated together, to launch few kernels."""

    def __init__(self, matrices, momentum=0.95):
        by_shape = {}
        for m in matrices:
            by_shape.setdefault(tuple(m.shape), []).append(m)
        self.groups = [(group, torch.zeros_like(torch.stack(group))) for group in by_shape.values()]
        self.momentum = momentum

    @torch.no_grad()
    def step(self, rate):
        for group, velocity in self.groups:
            gradient = torch.stack([m.grad for m in group])
            velocity.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(velocity, self.momentum))
            rows, columns = group[0].shape
            torch._foreach_add_(group, list(update.unbind()), alpha=-rate * math.sqrt(max(1.0, rows / columns)))


def orthogonal(x, steps=5):
    """Nearly the nearest matrix with equal singular values, by a quintic Newton-Schulz iteration."""
    dtype, tall = x.dtype, x.shape[-2] > x.shape[-1]
    x = x.bfloat16()
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.mT if tall else x).to(dtype)


def train(args):
    device = torch.device(args.device)
    torch.manual_seed(args.seed)
    held_out = HeldOut([path.read_bytes() for path in args.text], args.hold_out)
    paths = sysconfig.get_paths()
    roots = list(dict.fromkeys([paths["purelib"], paths["platlib"], paths["stdlib"], *args.root]))
    corpus, files, left_out = read_corpus(roots, held_out, args.corpus_megabytes * 1_000_000)
    print(f"corpus: {len(corpus):,} bytes of {files:,} files; {left_out:,} files held out", flush=True)

    shape = {name: getattr(args, name) for name in SHAPE}
    model = Model(shape, args.context).to(device)
    inner = [p for p in model.layers.parameters() if p.ndim == 2]
    outer = [p for p in model.parameters() if not any(p is m for m in inner)]
    muon = Muon(inner)
    adam = torch.optim.Adam(outer, lr=args.rate, betas=(0.9, 0.95), fused=device.type == "cuda")
    print(f"model: {sum(p.numel() for p in model.parameters()):,} weights", flush=True)

    def loss_of(tokens, following):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = model(tokens)
        return F.cross_entropy(logits.float().flatten(0, 1), following.flatten())

    compiled = loss_of if args.no_compile else torch.compile(loss_of, dynamic=False)

    # A short context first: most of what there is to learn is local, and its steps are cheaper.
    lengths = [min(args.short_context, args.context), args.context]
    windows = Windows(corpus, args.seed, device)
    for length in lengths:  # compile before the clock starts
        tokens = torch.zeros(max(1, args.batch // length), length, dtype=torch.long, device=device)
        compiled(tokens, tokens.clone()).backward()
        model.zero_grad()
    synchronize(device)

    start, step, read, mean = time.perf_counter(), 0, 0, None
    while (done := (time.perf_counter() - start) / args.seconds) < 1:
        length = lengths[done >= args.short_share]
        loss = compiled(*windows.next(max(1, args.batch // length), length))
        loss.backward()
        warm, cool = min(1.0, (step + 1) / args.warmup), 0.5 + 0.5 * math.cos(math.pi * done)
        adam.param_groups[0]["lr"] = args.rate * warm * cool
        adam.step()
        muon.step(args.muon_rate * warm * cool)
        model.zero_grad()
        step, read = step + 1, read + max(1, args.batch // length) * length
        mean = loss.detach() if mean is None else mean.lerp(loss.detach(), 0.02)
        if step % 10 == 0:
            synchronize(device)  # the clock decides the rate, so do not run ahead of the device
        if step % args.report == 0:
            at, bits = time.perf_counter() - start, mean.item() / math.log(2)
            print(f"step {step:,}  {at:.0f} s  context {length}  {bits:.4f} bits per byte", flush=True)
    synchronize(device)
    seconds = time.perf_counter() - start
    print(f"trained: {step:,} steps, {read:,} bytes read, {seconds:.0f} s", flush=True)

    about = {
        **{name: str(value) for name, value in shape.items()},
        "vocab": str(VOCAB),
        "context": str(args.context),
        "corpus_bytes": str(len(corpus)),
        "corpus_files": str(files),
        "corpus_sha256": hashlib.sha256(corpus).hexdigest(),
        "bytes_read": str(read),
        "steps": str(step),
        "seconds": f"{seconds:.0f}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "seed": str(args.seed),
        "held_out": " ".join(args.hold_out),
    }
    weights = {name: p.detach().bfloat16().cpu().contiguous() for name, p in model.state_dict().items()}
    safetensors.torch.save_file(weights, args.weights, metadata=about)


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# ---- evaluation -----------------------------------------------------------------------------------------------------


def load(path, device):
    """The model of `path`, its bfloat16 weights held in fp32, so that nothing else is rounded."""
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
        weights = {name: file.get_tensor(name).float() for name in file.keys()}
    shape = {name: type(default)(about[name]) for name, default in SHAPE.items()}
    model = Model(shape, int(about["context"]))
    model.load_state_dict(weights)
    return model.to(device).eval(), int(about["context"])


# A rule says which of the visible keys each query of each head reads. It gets the scores [heads, queries, keys], those
# of invisible keys -inf, and the count of visible keys per query [queries]; the visible ones are the first.


def share(ratio, visible):
    return (ratio * visible.double()).ceil().long()


def exact(ratio):
    def rule(scores, visible):
        count = share(ratio, visible)
        largest = scores.topk(int(count.max())).indices
        wanted = torch.arange(largest.shape[-1], device=scores.device) < count[:, None]
        return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, largest, wanted.expand(largest.shape))

    return rule


def at_random(ratio):
    def rule(scores, visible):
        noise = torch.rand(scores.shape, generator=torch.Generator(scores.device).manual_seed(0), device=scores.device)
        return exact(ratio)(noise.masked_fill(scores.isneginf(), -1.0), visible)

    return rule


def recent(count_of):
    def rule(scores, visible):
        key = torch.arange(scores.shape[-1], device=scores.device)
        return ((key < visible[:, None]) & (key >= (visible - count_of(visible))[:, None])).expand(scores.shape)

    return rule


def recent_share(ratio):
    return recent(lambda visible: share(ratio, visible))


def rules():
    named = {"dense": None, "512 most recent keys": recent(lambda visible: visible.clamp(max=512))}
    for name, make in (("exact top-k", exact), ("recent k", recent_share), ("random k", at_random)):
        named.update({f"{name}, {100 * ratio:g} %": make(ratio) for ratio in (0.01, 0.02, 0.05, 0.1, 0.25)})
    return named


@torch.no_grad()
def window_bits(model, window, scored, named_rules):
    """Bits per byte of the last `scored` bytes of `window`, per rule.

    What comes before is read densely, once, as a dense prefill would; then every byte whose successor is scored is a
    query that reads only what the rule leaves it, in every layer. Keys and values of those bytes thus differ by rule.
    """
    prefix = len(window) - 1 - scored
    tokens, following = window[None, :-1], window[-scored:]
    cos, sin = model.cos[: prefix + scored], model.sin[: prefix + scored]

    cache, x = [], model.embed[tokens[:, :prefix]]
    for layer in model.layers:
        q, k, v = layer.project(x, cos[:prefix], sin[:prefix])
        cache.append((k, v))
        x = layer.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))

    visible = torch.arange(prefix + 1, prefix + scored + 1, device=window.device)
    hidden = torch.arange(prefix + scored, device=window.device) >= visible[:, None]
    bits = {}
    for name, rule in named_rules.items():
        x = model.embed[tokens[:, prefix:]]
        for layer, (k_prefix, v_prefix) in zip(model.layers, cache, strict=True):
            q, k, v = layer.project(x, cos[prefix:], sin[prefix:])
            k, v = torch.cat((k_prefix, k), dim=2)[0], torch.cat((v_prefix, v), dim=2)[0]
            k, v = (t.repeat_interleave(q.shape[1] // t.shape[0], dim=0) for t in (k, v))
            scores = (q[0] @ k.mT / math.sqrt(layer.head_dim)).masked_fill(hidden, -math.inf)
            if rule is not None:
                scores = scores.masked_fill(~rule(scores, visible), -math.inf)
            x = layer.finish(x, (scores.softmax(-1) @ v)[None])
        bits[name] = F.cross_entropy(model.logits(x)[0], following).item() / math.log(2)
    return bits


@torch.no_grad()
def truncated_bits(model, window, scored, context, batch=64):
    """Bits per byte where each scored byte is predicted by a model that is shown the `context` bytes before it and
    nothing else: unlike the most recent keys, which remember what they read when they were computed."""
    contexts = window[:-1].unfold(0, context, 1)[-scored:]
    total = 0.0
    for inputs, following in zip(contexts.split(batch), window[-scored:].split(batch), strict=True):
        total += F.cross_entropy(model(inputs)[:, -1], following, reduction="sum").item()
    return total / scored / math.log(2)


def evaluate(args):
    device = torch.device(args.device)
    model, context = load(args.weights, device)
    names = ["dense", "512 bytes of context", *(name for name in rules() if name != "dense")]
    for path in args.text:
        text = torch.from_numpy(numpy.frombuffer(path.read_bytes(), dtype=numpy.uint8).copy()).long().to(device)
        windows = text[: len(text) // context * context].split(context)
        few = sorted({i * (len(windows) - 1) // 3 for i in range(4)})  # four, evenly spread, the first and the last in
        columns = {"windows " + " ".join(map(str, few)): few}
        if not args.few:
            columns["all windows"] = range(len(windows))
        bits = {}
        for i in set().union(*columns.values()):
            bits[i] = window_bits(model, windows[i], args.scored, rules())
            bits[i]["512 bytes of context"] = truncated_bits(model, windows[i], args.scored, 512)

        print(f"\n{path.name}: {len(text):,} bytes, {len(windows)} windows of {context} bytes")
        print(f"{f'bits per byte, last {args.scored:,}':24}" + "".join(f"{title:>24}" for title in columns))
        for name in names:
            line = f"{name:24}"
            for chosen in columns.values():
                value, dense = (sum(bits[i][n] for i in chosen) / len(chosen) for n in (name, "dense"))
                line += f"{value:14.4f} ({value - dense:+.4f})"
            print(line, flush=True)


@torch.no_grad()
def write_sample(args):
    """A stretch of the text and the logits that the shipped weights give it, for other implementations to compare."""
    device = torch.device(args.device)
    model, _ = load(args.weights, device)
    tokens = torch.from_numpy(numpy.frombuffer(args.text[0].read_bytes()[:600], dtype=numpy.uint8).copy())
    logits = model(tokens.long().to(device)[None])[0, -64:].cpu().contiguous()
    safetensors.torch.save_file({"tokens": tokens, "logits": logits}, args.sample)


# ---- command line ---------------------------------------------------------------------------------------------------

# What the weights alone do not tell; stored beside them.
SHAPE = {
    "width": 192,
    "layers": 6,
    "q_heads": 4,
    "kv_heads": 2,
    "head_dim": 64,
    "mlp_width": 512,
    "rope_theta": 100000.0,
    "norm_eps": 1e-5,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("train", "evaluate"))
    parser.add_argument(
        "--text", type=pathlib.Path, nargs="+", default=[HERE / "text.txt"], help="held-out text; never trained on"
    )
    parser.add_argument("--weights", type=pathlib.Path, default=HERE / "weights.safetensors")
    parser.add_argument("--sample", type=pathlib.Path, default=HERE / "sample.safetensors")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--scored", type=int, default=1024, help="bytes scored at the end of each window")
    parser.add_argument("--few", action="store_true", help="evaluate four windows of the text only")
    parser.add_argument("--root", action="append", default=[], help="another folder of *.py files to train on")
    parser.add_argument("--hold-out", nargs="+", default=HELD_OUT, help="names of modules never to train on")
    parser.add_argument("--corpus-megabytes", type=int, default=900, help="most to train on")
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--short-context", type=int, default=2048, help="context of the first part of the training")
    parser.add_argument(
        "--short-share", type=float, default=0.35, help="share of the seconds spent at the short context"
    )
    parser.add_argument("--batch", type=int, default=65536, help="bytes per step")
    parser.add_argument("--rate", type=float, default=3e-3, help="Adam: embedding, norms, head")
    parser.add_argument("--muon-rate", type=float, default=0.02, help="Muon: the matrices of the blocks")
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--report", type=int, default=200, help="steps between reports")
    parser.add_argument("--no-compile", action="store_true")
    for name, default in SHAPE.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    args = parser.parse_args()
    if args.mode == "train":
        train(args)
        write_sample(args)
    evaluate(args)


if __name__ == "__main__":
    main()
