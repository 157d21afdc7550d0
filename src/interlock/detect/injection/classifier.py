"""The small network that reads every token: numpy for its input, onnxruntime for its graph. Needs the extra `detect`.

A token is the sum of eight rows of one table (word, five parts, concept, shape); four gated convolutions let it see
thirty neighbours; hashed pairs and triples of words add what they weigh by themselves. Out come two numbers for each
token: how much it looks like an injected instruction, and how much that matters to the window around it. Trained by
`training/`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from interlock.detect.injection.tokens import COLUMNS, STRIDE, WINDOW, Tokens

GRAM_ROWS: Final = 1 << 17
GRAMS: Final = 4  # pair, triple, pair over a gap, triple of concepts
SMOOTH: Final = 6  # tokens
CHUNK, MARGIN = 4096, 32  # tokens that the graph gets at once, and what it sees of its neighbours: memory stays bounded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float32]
    Ints: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Reading:
    """How much each token with its neighbours, and each window of tokens, looks like an instruction."""

    smooth: Floats
    windows: Floats


def inputs(tokens: Tokens) -> tuple[Ints, Ints]:
    """Rows of the table and of the grams, for each token."""
    import numpy as np  # noqa: PLC0415 - importing it changes the environment: only who scans pays that

    rows = np.frombuffer(tokens.rows, dtype="<i4").reshape(-1, COLUMNS)
    words = np.frombuffer(tokens.words, dtype="<u4").astype(np.uint64)
    codes = np.frombuffer(tokens.codes.encode("ascii"), dtype=np.uint8).astype(np.uint64)

    def back(values: npt.NDArray[np.uint64], by: int) -> npt.NDArray[np.uint64]:
        moved = np.zeros_like(values)
        moved[by:] = values[:-by]
        return moved

    one, two = back(words, 1), back(words, 2)
    mixed = (
        (one * np.uint64(0x9E3779B1) ^ words) * np.uint64(0x85EBCA6B) + np.uint64(1),
        ((two * np.uint64(0x9E3779B1) ^ one) * np.uint64(0xC2B2AE35) ^ words) * np.uint64(0x85EBCA6B) + np.uint64(2),
        (two * np.uint64(0x27D4EB2F) ^ words) * np.uint64(0x85EBCA6B) + np.uint64(3),
        ((back(codes, 2) * np.uint64(131) + back(codes, 1)) * np.uint64(131) + codes) * np.uint64(0x9E3779B97F4A7C15),
    )
    grams = np.stack([(m >> np.uint64(29)) % np.uint64(GRAM_ROWS) for m in mixed], axis=1)
    return rows, grams.astype(np.int32)


def smoothed(looks: Floats) -> Floats:
    """Each token's mean with `SMOOTH` neighbours on each side."""
    import numpy as np  # noqa: PLC0415 - importing it changes the environment: only who scans pays that

    total = np.concatenate([[0.0], np.cumsum(looks, dtype=np.float64)])
    places = np.arange(len(looks))
    first, last = np.maximum(places - SMOOTH, 0), np.minimum(places + SMOOTH + 1, len(looks))
    mean: Floats = ((total[last] - total[first]) / (last - first)).astype(np.float32)
    return mean


def pooled(looks: Floats, pulls: Floats) -> Floats:
    """What each window says: its tokens, weighted by the exponential of their pull."""
    import numpy as np  # noqa: PLC0415 - importing it changes the environment: only who scans pays that

    size = len(looks)
    if not size:
        return np.zeros(0, dtype=np.float32)
    weight = np.exp(pulls.astype(np.float64))
    total = np.concatenate([[0.0], np.cumsum(weight)])
    said = np.concatenate([[0.0], np.cumsum(weight * looks)])
    starts = np.arange(0, max(1, size - WINDOW + STRIDE), STRIDE)
    ends = np.minimum(starts + WINDOW, size)
    mean: Floats = ((said[ends] - said[starts]) / (total[ends] - total[starts])).astype(np.float32)
    return mean


class Classifier:
    """A model that was read; it may be shared by threads."""

    def __init__(self, model: bytes) -> None:
        import onnxruntime  # type: ignore[import-untyped, unused-ignore] # noqa: PLC0415 - as numpy; has no types

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.calibration: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map["calibration"])

    def read(self, tokens: Tokens) -> Reading:
        """What the network says of `tokens`."""
        import numpy as np  # noqa: PLC0415 - as above

        size = len(tokens.codes)
        if not size:
            return Reading(np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32))
        rows, grams = inputs(tokens)
        looks, pulls = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.float32)
        for start in range(0, size, CHUNK):
            first, last = max(0, start - MARGIN), min(size, start + CHUNK + MARGIN)
            look, pull = self._session.run(None, {"rows": rows[first:last], "grams": grams[first:last]})
            end = min(size, start + CHUNK)
            looks[start:end] = look[start - first : end - first]
            pulls[start:end] = pull[start - first : end - first]
        windows = pooled(looks, pulls)
        if not (np.isfinite(looks).all() and np.isfinite(windows).all()):
            raise ValueError("the model's answer is no number")
        return Reading(smoothed(looks), windows)
