"""The network of `interlock.detect.injection.classifier`, trained: one small JAX program on the processor.

Loss: the window's label through attention; the span's tokens where a span is known; and a penalty on benign windows
that score high, because what counts is the recall where one benign text in a hundred is flagged. Words are dropped at
random, so that parts, concepts and neighbours learn too. Rare sources weigh more than their size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax  # type: ignore[import-not-found, unused-ignore] # only where training runs, requirements/train.in
import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]
import numpy as np

from interlock.detect.injection.classifier import GRAM_ROWS, GRAMS
from interlock.detect.injection.tokens import CODE_ROWS, COLUMNS, PART_ROWS, SHAPE_ROWS, WORD_ROWS

ROWS = WORD_ROWS + PART_ROWS + CODE_ROWS + SHAPE_ROWS
WIDTH, HIDDEN = 40, 64
MAX_PULL = 3.0  # |attention| of a token: no token silences all others
DILATIONS = (1, 2, 4, 8)
LENGTHS = (24, 64, 160)  # of the batches
BATCH = 6144  # tokens
PEAK = 4e-3

Params = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a text: what the network is shown at once."""

    rows: Any  # int32 [n, COLUMNS]
    grams: Any  # int32 [n, GRAMS]
    label: float
    marked: Any  # float [n]: 1 inside the span; None if no span is known
    weight: float


def fresh(seed: int) -> Params:
    """Parameters before training."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int, scale: float) -> Any:
        return jnp.asarray(draw.normal(0, scale, shape).astype(np.float32))

    params: Params = {
        "table": normal(ROWS, WIDTH, scale=0.1),
        "grams": jnp.zeros(GRAM_ROWS, dtype=jnp.float32),
        "in": normal(WIDTH, HIDDEN, scale=WIDTH**-0.5),
        "in_bias": jnp.zeros(HIDDEN),
        "look": normal(HIDDEN, scale=HIDDEN**-0.5),
        "look_bias": jnp.asarray(-1.0),
        "pull": normal(HIDDEN, scale=0.1 * HIDDEN**-0.5),
    }
    for n, _ in enumerate(DILATIONS):
        params[f"taps{n}"] = jnp.asarray(np.array([0.3, 0.6, 0.3], dtype=np.float32))[:, None] * jnp.ones((3, HIDDEN))
        params[f"mix{n}"] = normal(HIDDEN, 2 * HIDDEN, scale=HIDDEN**-0.5)
        params[f"mix_bias{n}"] = jnp.zeros(2 * HIDDEN)
    return params


def forward(params: Params, rows: Any, grams: Any, mask: Any, key: Any = None) -> tuple[Any, Any]:
    """(look, pull) of each token; rows [b, n, COLUMNS], grams [b, n, GRAMS], mask [b, n]. With `key`: dropout."""
    found = params["table"][rows]
    weighed = params["grams"][grams]
    if key is not None:
        one, two, three = jax.random.split(key, 3)
        keep = jnp.concatenate(
            [
                jax.random.bernoulli(one, 0.7, (*rows.shape[:2], 1)),
                jax.random.bernoulli(two, 0.85, (*rows.shape[:2], COLUMNS - 1)),
            ],
            axis=-1,
        )
        found = found * keep[..., None]
        weighed = weighed * jax.random.bernoulli(three, 0.6, grams.shape) / 0.6
    h = jax.nn.relu(found.sum(2) @ params["in"] + params["in_bias"]) * mask[..., None]
    size = rows.shape[1]
    for n, by in enumerate(DILATIONS):
        taps = params[f"taps{n}"]
        wide = jnp.pad(h, ((0, 0), (by, by), (0, 0)))
        y = wide[:, :size] * taps[0] + h * taps[1] + wide[:, 2 * by :] * taps[2]
        value, gate = jnp.split(y @ params[f"mix{n}"] + params[f"mix_bias{n}"], 2, axis=-1)
        h = (h + jnp.tanh(value) * jax.nn.sigmoid(gate)) * mask[..., None]
    look = h @ params["look"] + params["look_bias"] + weighed.sum(2)
    return look, jnp.clip(h @ params["pull"], -MAX_PULL, MAX_PULL)


def _loss(params: Params, batch: dict[str, Any], key: Any) -> Any:
    look, pull = forward(params, batch["rows"], batch["grams"], batch["mask"], key)
    weight = jnp.exp(pull) * batch["mask"]
    said = (look * weight).sum(1) / weight.sum(1)
    label, heavy = batch["label"], batch["weight"]
    loss = (_entropy(said, label) * heavy).sum() / heavy.sum()
    spanned = batch["mask"] * batch["spanned"][:, None]
    loss += 0.3 * (_entropy(look, batch["marked"]) * spanned * heavy[:, None]).sum() / (spanned.sum() + 1.0)
    tail = jax.nn.relu(said + 1.0) ** 2 * (label < 0.5) * heavy
    loss += 0.1 * tail.sum() / heavy.sum()
    return loss + 2e-5 * (params["grams"] ** 2).sum()


def _entropy(logit: Any, label: Any) -> Any:
    return jax.nn.softplus(logit) - label * logit


@jax.jit  # type: ignore[untyped-decorator, unused-ignore]
def _step(params: Params, first: Params, second: Params, batch: dict[str, Any], key: Any, rate: Any, t: Any) -> Any:
    loss, slope = jax.value_and_grad(_loss)(params, batch, key)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
    second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, second, slope)

    def move(p: Any, m: Any, v: Any) -> Any:
        return p - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.99**t)) + 1e-6)

    return jax.tree.map(move, params, first, second), first, second, loss


def _stack(pieces: Sequence[Piece], length: int) -> dict[str, Any]:
    count = max(8, BATCH // length)
    made = {
        "rows": np.zeros((count, length, COLUMNS), np.int32),
        "grams": np.zeros((count, length, GRAMS), np.int32),
        "mask": np.zeros((count, length), np.float32),
        "marked": np.zeros((count, length), np.float32),
        "spanned": np.zeros(count, np.float32),
        "label": np.zeros(count, np.float32),
        "weight": np.zeros(count, np.float32),
    }
    made["mask"][:, 0] = 1.0  # an empty place weighs nothing, and must not divide by nothing
    for n, piece in enumerate(pieces):
        size = min(length, len(piece.rows))
        made["rows"][n, :size], made["grams"][n, :size] = piece.rows[:size], piece.grams[:size]
        made["mask"][n, :size] = 1.0
        made["label"][n], made["weight"][n] = piece.label, piece.weight
        if piece.marked is not None:
            made["marked"][n, :size] = piece.marked[:size]
            made["spanned"][n] = 1.0
    return made


def train(draw_pieces: Callable[[np.random.Generator], list[Piece]], *, epochs: int, seed: int) -> Params:
    """Parameters after `epochs` of what `draw_pieces` gives for each."""
    draw = np.random.default_rng(seed)
    params = fresh(seed)
    first = jax.tree.map(jnp.zeros_like, params)
    second = jax.tree.map(jnp.zeros_like, params)
    key = jax.random.PRNGKey(seed)
    step, total = 0, 0
    for epoch in range(epochs):
        pieces = draw_pieces(draw)
        batches: list[tuple[int, list[Piece]]] = []
        for shorter, length in zip((0, *LENGTHS), LENGTHS, strict=False):
            here = [p for p in pieces if shorter < len(p.rows) and (len(p.rows) <= length or length == LENGTHS[-1])]
            draw.shuffle(here)
            count = max(8, BATCH // length)
            batches += [(length, here[i : i + count]) for i in range(0, len(here), count)]
        order = draw.permutation(len(batches))
        total = total or epochs * len(batches)
        losses = []
        for place in order:
            length, chosen = batches[place]
            step += 1
            progress = min(1.0, step / total)
            rate = PEAK * min(1.0, step / 60) * (0.5 + 0.5 * np.cos(np.pi * progress)) + 1e-5
            key, sub = jax.random.split(key)
            params, first, second, loss = _step(params, first, second, _stack(chosen, length), sub, rate, step)
            losses.append(loss)
        print(
            f"epoch {epoch + 1}: loss {float(np.mean([float(x) for x in losses])):.4f}, {len(batches)} steps",
            flush=True,
        )
    return params
