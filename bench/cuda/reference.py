# SPDX-FileCopyrightText: 2026 The tka authors
# SPDX-License-Identifier: Apache-2.0

"""What a point must give, in fp64 over the first set of its inputs; stored scores by a stable sort."""

import math

import torch

from library import Failure

# Of q.k: a selected key may score so much below the k-th largest of fp64, an unselected one above it,
# absolute or as a share of the row's largest score.
SCORE_TOLERANCE, SCORE_SHARE = 1e-3, 2e-5
OUTPUT_TOLERANCE = 5e-3  # |o - reference| / |reference| over the same keys, outputs in 16 bits
PEER_TOLERANCE = 2e-2  # of PyTorch, whose weights are in 16 bits too
RECALL_SLACK = 0.02  # below what a bucketed selection expects
MOST_KEYS = 1 << 20  # that are compared in fp64: so many sequences of a batch, evenly spread
MOST_TOKENS = 24  # of the query tokens of a sequence


def spread(count, most):
    """At most so many numbers below `count`, with the first and the last."""
    most = min(count, most)
    return sorted({round(i * (count - 1) / max(1, most - 1)) for i in range(most)})


class Reference:
    def __init__(self, inputs):
        self.inputs = inputs
        self.sequences = spread(inputs.batch, max(2, min(8, MOST_KEYS // inputs.kv_len)))
        self.tokens = spread(inputs.q_len, MOST_TOKENS)
        self.group = inputs.q_heads // inputs.kv_heads

    def rows(self, cache, b):
        """[kv_heads, kv_len, dim] of a sequence, in fp64."""
        inputs = self.inputs
        if not inputs.paged:
            return cache[b].double()
        pages = cache[inputs.table[b].long()]  # [pages, kv_heads, page_size, dim]
        return pages.transpose(0, 1).reshape(inputs.kv_heads, inputs.kv_len, -1).double()

    def attention_scores(self, b):
        """q.k [q_heads, tokens, kv_len], -inf where a key is not visible."""
        inputs = self.inputs
        q = inputs.q[b][:, self.tokens].double().reshape(inputs.kv_heads, -1, inputs.qk_dim)
        scores = (q @ self.rows(inputs.k[0], b).transpose(-1, -2)).view(inputs.q_heads, len(self.tokens), -1)
        at = torch.arange(inputs.kv_len, device=scores.device)
        last = inputs.kv_len - inputs.q_len + torch.tensor(self.tokens, device=scores.device)
        return scores.masked_fill(at > last.view(1, -1, 1), -math.inf)

    def selection_scores(self, b, attention):
        """[scope heads, tokens, kv_len]: what decides the selection."""
        inputs = self.inputs
        if inputs.indexed:
            products = torch.relu(inputs.index_q[b, :, 0].double() @ inputs.index_k[0][b].double().T)
            return (inputs.index_weights[b].double() * products).sum(0).view(1, 1, -1)
        if inputs.point["scope"] == "kv_group":
            return attention.view(inputs.kv_heads, self.group, len(self.tokens), -1).amax(1)
        return attention

    def judge_set(self, scores, at, count, exact):
        """Throws where [heads, tokens, k] positions are not a selection by these scores."""
        kept = (scores > -math.inf).sum(-1).clamp(max=self.inputs.k_kept)
        if not bool((count == kept).all()):
            raise Failure(f"count is {count.flatten()[:4].tolist()}..., not {kept.flatten()[:4].tolist()}...")
        listed = torch.arange(at.shape[-1], device=at.device) < kept.unsqueeze(-1)
        if not bool((((at >= 0) & (at < self.inputs.kv_len)) | ~listed).all()):
            raise Failure("positions are out of range")
        if not bool(((at.diff(dim=-1) > 0) | ~listed[..., 1:]).all()):
            raise Failure("positions are not ascending")
        at = torch.where(listed, at, at[..., :1]).long()  # what is not listed is the first one again
        kth = scores.topk(self.inputs.k_kept).values.gather(-1, kept.unsqueeze(-1) - 1)
        chosen = scores.gather(-1, at)
        if exact:
            largest = scores.masked_fill(scores == -math.inf, 0).abs().amax(-1, keepdim=True)
            allowed = (SCORE_SHARE * largest).clamp(min=SCORE_TOLERANCE)
            lowest = chosen.masked_fill(~listed, math.inf).amin(-1, keepdim=True)
            marks = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, at, True)
            highest = scores.masked_fill(marks, -math.inf).amax(-1, keepdim=True)
            if not bool(((kth - lowest <= allowed) & (highest - kth <= allowed)).all()):
                raise Failure("not the k largest")
        return (((chosen >= kth) & listed).sum(-1) / kept).mean().item()

    def check(self, o, positions, count, exact, expected_recall=1.0):
        """Figures of a call that is right; throws where it is wrong. Null: not compared."""
        inputs = self.inputs
        recalls, errors, masses, exact_masses, distinct = [], [], [], [], 0
        for b in self.sequences:
            attention = self.attention_scores(b)
            at, listed = None, None
            if positions is not None:
                at = positions[b][:, self.tokens]
                number = count[b][:, self.tokens]
                if exact is not None:
                    scores = self.selection_scores(b, attention)
                    recalls.append(self.judge_set(scores, at, number, exact))
                    masses.append(self.mass(attention, self.by_query_head(at), number))
                    best = scores.topk(inputs.k_kept).indices
                    exact_masses.append(self.mass(attention, self.by_query_head(best), number))
                distinct += self.distinct_rows(at)
            if o is not None:
                expected = self.attend(b, attention, at, count)
                found = o[b][:, self.tokens].double()
                errors.append(((found - expected).norm() / expected.norm()).item())
        figures = {"v_rows": distinct * inputs.batch / len(self.sequences)} if distinct else {}
        if recalls:
            figures |= {"recall": sum(recalls) / len(recalls), "retained_mass": sum(masses) / len(masses)}
            if not exact:
                figures |= {"exact_retained_mass": sum(exact_masses) / len(exact_masses)}
                figures["expected_recall"] = expected_recall
            random = inputs.point["scores"] in ("normal", "uniform")
            if not exact and random and figures["recall"] < expected_recall - RECALL_SLACK:
                raise Failure(f"recall is {figures['recall']:.3f}, expected were {expected_recall:.3f}")
        if errors:
            allowed = OUTPUT_TOLERANCE if positions is not None else PEER_TOLERANCE
            for error in errors:  # one by one: NaN hides in a maximum
                if not error <= allowed:
                    raise Failure(f"output is off by {error:.1e}")
            figures["output_error"] = max(errors)
        return figures

    def by_query_head(self, at):
        """[q_heads, tokens, k] of [scope heads, tokens, k]."""
        return at.long().clamp(min=0).repeat_interleave(self.inputs.q_heads // at.shape[0], 0)

    def mass(self, attention, at, count):
        listed = torch.arange(at.shape[-1], device=at.device) < count.repeat_interleave(
            at.shape[0] // count.shape[0], 0
        ).unsqueeze(-1)
        weights = torch.softmax(self.inputs.scale * attention, -1).gather(-1, at)
        return weights.masked_fill(~listed, 0).sum(-1).mean().item()

    def distinct_rows(self, at):
        """Rows of V that some head of a group selects, of the last query token that is compared."""
        inputs = self.inputs
        marks = torch.zeros(inputs.kv_heads, inputs.kv_len, dtype=torch.bool, device=at.device)
        last = self.by_query_head(at)[:, -1].reshape(inputs.kv_heads, -1)
        return int(marks.scatter(-1, last, True).sum())

    def attend(self, b, attention, at, count):
        """o [q_heads, tokens, v_dim] over given positions; or over the k largest, which are all keys for peers."""
        inputs = self.inputs
        scores = inputs.scale * attention
        if at is not None:
            keep = torch.zeros_like(scores, dtype=torch.bool)
            number = count[b][:, self.tokens].repeat_interleave(inputs.q_heads // count.shape[1], 0)
            listed = torch.arange(at.shape[-1], device=at.device) < number.unsqueeze(-1)
            every = self.by_query_head(at)
            keep = keep.scatter(-1, torch.where(listed, every, every[..., :1]), True)
            scores = scores.masked_fill(~keep, -math.inf)
        elif inputs.k_kept < inputs.kv_len:
            kth = scores.topk(inputs.k_kept, -1).values[..., -1:]
            scores = scores.masked_fill(scores < kth, -math.inf)
        weights = torch.softmax(scores, -1).view(inputs.kv_heads, -1, inputs.kv_len)
        return (weights @ self.rows(inputs.v[0], b)).view(inputs.q_heads, len(self.tokens), -1)


def check_stored(inputs, positions, exact, expected_recall=1.0):
    """Figures of [rows, k] positions over the first stored scores; larger first, equal ones by position."""
    scores = inputs.scores[0]
    lost = 0
    for row in spread(scores.shape[0], 64):
        best = scores[row].sort(descending=True, stable=True).indices[: inputs.k_kept].sort().values
        if exact and not torch.equal(best.to(torch.int32), positions[row]):
            raise Failure(f"row {row}: not exactly the k largest")
        lost += int((~torch.isin(best, positions[row].long())).sum())
    recall = 1 - lost / (inputs.k_kept * len(spread(scores.shape[0], 64)))
    if not exact and inputs.point["scores"] in ("normal", "uniform") and recall < expected_recall - RECALL_SLACK:
        raise Failure(f"recall is {recall:.3f}, expected were {expected_recall:.3f}")
    return {"recall": recall} | ({} if exact else {"expected_recall": expected_recall})
