"""The Dockerfile, as far as a machine without a container engine can try it.

By default its words are checked. With `INTERLOCK_IMAGE_TEST=1` the steps of the build stage run for real, in a folder in
place of the image: a minute, and two hundred megabytes from the package registry.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim"
BASE_SIZE = 130_000_000  # bytes of it, unpacked
MOST = 250_000_000  # bytes of the image
SECRET = re.compile(r"key|token|secret|password|passwd|credential", re.IGNORECASE)


@dataclass
class Stage:
    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def of(self, word: str) -> list[str]:
        return [rest for found, rest in self.steps if found == word]


def stages() -> list[Stage]:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    found: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].steps.append((word, rest))
    return found


BUILD, FINAL = stages()


def test_both_stages_are_slim() -> None:
    assert [s.base for s in stages()] == [BASE, BASE]


def test_it_runs_as_nobody() -> None:
    (user,) = FINAL.of("USER")
    assert int(user) > 0
    after = [word for word, _ in FINAL.steps[[w for w, _ in FINAL.steps].index("USER") :]]
    assert "RUN" not in after
    assert "COPY" not in after


def test_everything_is_installed_by_hash_or_is_ours() -> None:
    installs = [run for run in BUILD.of("RUN") if " pip " in f" {run} " and " install " in run]
    assert len(installs) == 3
    for run in installs:
        if "/build/dist/" in run:
            assert "--no-deps" in run
            assert "--no-index" in run
        else:
            assert "--require-hashes" in run
            assert "--only-binary :all:" in run
    assert not [run for run in BUILD.of("RUN") + FINAL.of("RUN") if re.search(r"curl|wget|https?://|git clone", run)]


@pytest.mark.parametrize("name", ["service.txt", "build.txt"])
def test_every_requirement_has_its_hashes(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert entries
    assert [e for e in entries if "==" not in e or "--hash=sha256:" not in e] == []


def test_the_wheel_is_built_with_what_everything_else_is_built_with() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text()
        return dict(re.findall(r"^([a-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE))

    build, dev = pins("build.txt"), pins("dev.txt")
    assert "hatchling" in build
    assert build == {name: dev[name] for name in build}


def test_what_it_copies_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for step in BUILD.of("COPY"):
        for source in step.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in allowed, source
    assert all(step.startswith("--from=build /opt/interlock ") for step in FINAL.of("COPY"))


def test_no_secret_is_baked_in() -> None:
    for stage in stages():
        for step in stage.of("ARG") + stage.of("ENV"):
            for name in re.findall(r"(?:^|\s)([A-Za-z_]+)=", step):
                assert not SECRET.search(name), name


def test_its_settings_are_settings() -> None:
    from interlock.config import Settings

    words = dict(w.split("=", 1) for step in FINAL.of("ENV") for w in shlex.split(step))
    read = Settings.read({k: v for k, v in words.items() if k.startswith("INTERLOCK_")})
    assert (read.host, read.store) == ("0.0.0.0", "sqlite:/var/lib/interlock")  # noqa: S104 - a container's own network


@pytest.mark.skipif(
    "INTERLOCK_IMAGE_TEST" not in os.environ, reason="installs two hundred megabytes; INTERLOCK_IMAGE_TEST=1"
)
def test_the_steps_make_a_gateway_that_starts_and_is_small(tmp_path: Path) -> None:
    opt, build = tmp_path / "opt", tmp_path / "build"
    (build / "requirements").mkdir(parents=True)
    opt.mkdir()
    for step in BUILD.of("COPY"):
        *sources, target = step.split()
        for source in sources:
            subprocess.run(["cp", "-r", str(ROOT / source), str(build / target)], check=True)
    for run in BUILD.of("RUN"):
        if run.startswith("apt-get"):
            continue  # binutils: `strip` must be on this machine
        here = run.replace("/opt/", f"{opt}/").replace("/build/", f"{build}/")
        here = re.sub(r"^python ", f"{sys.executable} ", here).replace("&& python ", f"&& {sys.executable} ")
        environ = os.environ | {"CLASSIFIER": "no", "COMPUTE": "no"}
        subprocess.run(["sh", "-ec", here], cwd=build, env=environ, check=True)
    size = sum(p.stat().st_size for p in (opt / "interlock").rglob("*") if p.is_file() and not p.is_symlink())
    assert BASE_SIZE + size <= MOST, f"{(BASE_SIZE + size) / 1e6:.0f} MB"
    told = subprocess.run(
        [str(opt / "interlock" / "bin" / "interlock"), "serve", "--settings"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "INTERLOCK_STORE" in told.stdout
    imports = "import interlock.gateway.serve, interlock.gateway.scaled, interlock.tools.kinds"
    subprocess.run([str(opt / "interlock" / "bin" / "python"), "-c", imports], env={}, check=True)
    print(f"the image has about {(BASE_SIZE + size) / 1e6:.0f} MB")  # noqa: T201 - the number of docs/deploy-render.md
