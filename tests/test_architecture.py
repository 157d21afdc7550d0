"""The shape of the house: what may import what, what importing does, what an installation brings.

The rings themselves are import-linter's (pyproject.toml, `make check`); here stands what it cannot see.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
KERNEL = SRC / "interlock" / "kernel"
INNER = [
    path
    for ring in ("kernel", "policy", "provenance", "audit", "detect", "limits", "wire", "monitor")
    for path in (SRC / "interlock" / ring).rglob("__init__.py")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

MAX_KERNEL_LINES = 1000  # an afternoon's reading
MAX_PACKAGES = 10  # installed with the core, Interlock included


def modules() -> list[str]:
    """Every module of the package, except the ones that are programs."""
    names = []
    for path in sorted((SRC / "interlock").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        if parts[-1] != "__main__":
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def imported(tree: ast.AST) -> Iterator[str]:
    """Full name of everything that `tree` imports; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{name.name}" for name in names)
            case ast.ImportFrom(level=level):
                yield "." * level  # relative: the linter forbids it, and so does every test that looks at names
            case _:
                pass


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


# the kernel


def test_the_kernel_is_read_in_an_afternoon() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in KERNEL.rglob("*.py")}
    assert {"labels.py", "call.py", "decision.py", "decide.py"} <= lines.keys()
    assert sum(lines.values()) <= MAX_KERNEL_LINES, lines


@pytest.mark.parametrize("path", sorted(KERNEL.rglob("*.py")), ids=lambda path: path.name)
def test_the_kernel_imports_the_standard_library_cedarpy_and_itself(path: Path) -> None:
    foreign = {
        name
        for name in imported(parsed(path))
        if not name.startswith("interlock.kernel.")
        and name.split(".")[0] not in (sys.stdlib_module_names - {"importlib", "builtins"}) | {"cedarpy"}
    }
    assert not foreign


@pytest.mark.parametrize("path", sorted(KERNEL.rglob("*.py")), ids=lambda path: path.name)
def test_the_kernel_runs_only_the_code_that_is_written_in_it(path: Path) -> None:
    dynamic = {"__import__", "compile", "eval", "exec", "globals", "open", "setattr", "vars"}
    called = {
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & dynamic


def test_only_the_monitor_decides() -> None:
    # The linter watches imports of the module; this watches the package too, of which `decide` is an attribute.
    importers = {
        path.relative_to(SRC / "interlock").parts[0]
        for path in (SRC / "interlock").rglob("*.py")
        for name in imported(parsed(path))
        if name in {"interlock.kernel", "interlock.kernel.*"} or f"{name}.".startswith("interlock.kernel.decide.")
    }
    assert importers - {"kernel"} == {"monitor"}


# every module


@pytest.mark.parametrize("path", sorted(INNER), ids=lambda path: path.parent.name)
def test_an_inner_package_only_gathers_its_names(path: Path) -> None:
    # import-linter's contract on pure rings does not look into `__init__`, so there is nothing there to look at.
    own = ".".join(path.relative_to(SRC).parts[:2]) + "."
    assert all(name.startswith(("__future__.", own)) for name in imported(parsed(path)))
    for node in parsed(path).body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                pass
            case _:
                pytest.fail(f"line {node.lineno} does something")


def test_a_schema_is_validated_with_a_retriever_of_ours() -> None:
    # Left alone, jsonschema-rs fetches a `$ref` from the network or the disk while it compiles a tool's schema.
    calls = [
        (f"{path.relative_to(ROOT)}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for path in (SRC / "interlock").rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "jsonschema_rs"
        and not node.func.attr.endswith(("Options", "Error"))
    ]
    assert calls  # `import jsonschema_rs`, so that this test finds them
    assert [where for where, keywords in calls if "retriever" not in keywords] == []


def test_no_check_vanishes_under_optimisation() -> None:
    asserts = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SRC.rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assert)
    ]
    assert not asserts


# Runs in a process of its own. An audit hook cannot be removed or gone round by Python code, so it also sees what a
# dependency does on our behalf.
WATCH = """
import importlib, os, sys, threading

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EFFECTS = ("socket.", "subprocess.", "sqlite3.connect", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove",
           "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.putenv",
           "os.unsetenv", "shutil.", "tempfile.", "urllib.", "signal.")
# Python's own: `socket` asks for the machine's abilities when it is imported, and binds nothing.
HARMLESS = {"socket.__new__"}

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        seen = bool(flags & WRITES) and path != os.devnull
    else:
        seen = event.startswith(EFFECTS) and event not in HARMLESS
    if seen:
        print(module, event, *arguments, flush=True)  # _exit flushes nothing
        os._exit(1)

sys.addaudithook(watch)
for module in sys.argv[1:]:
    importlib.import_module(module)
    if threading.active_count() > 1:
        print(module, "started", [thread.name for thread in threading.enumerate()][1:], flush=True)
        os._exit(1)
"""


def effects_of_importing(*names: str, path: Path) -> str:
    """What importing `names`, found under `path`, does to the world; empty if nothing."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, *names],
        cwd=path,
        env={"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr or ("" if done.returncode == 0 else f"status {done.returncode}")


def test_importing_has_no_effect() -> None:
    assert effects_of_importing(*modules(), path=SRC) == ""


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import sqlite3; sqlite3.connect(':memory:')",
        "import subprocess; subprocess.run(['true'])",
        "open('left-behind', 'w')",
        "import pathlib; pathlib.Path('left-behind').touch()",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "import os; os.environ['INTERLOCK'] = '1'",
    ],
)
def test_an_effect_at_import_is_seen(code: str, tmp_path: Path) -> None:
    (tmp_path / "effectful.py").write_text(code)
    assert effects_of_importing("effectful", path=tmp_path).startswith("effectful ")


def test_importing_interlock_stays_light() -> None:
    heavy = {"aiohttp", "anthropic", "httpx", "openai", "requests", "rich", "typer"}
    code = f"import interlock, sys; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=SRC, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# what is installed


def pinned(name: str) -> list[str]:
    """Names of the packages in `requirements/<name>.txt`."""
    return re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)


def wanted(name: str) -> set[str]:
    """Requirements that `requirements/<name>.in` states itself."""
    lines = (ROOT / "requirements" / f"{name}.in").read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r "))}


def test_the_core_is_ten_packages() -> None:
    assert 1 + len(pinned("core")) <= MAX_PACKAGES


def test_what_is_locked_is_what_is_declared() -> None:
    assert wanted("core") == set(PROJECT["dependencies"])
    for extra in ("examples", "tools"):
        assert wanted(extra) == set(PROJECT["optional-dependencies"][extra])
    service = ("audit", "detect", "gateway", "otel", "postgres", "valkey")
    assert wanted("service") == {p for extra in service for p in PROJECT["optional-dependencies"][extra]}


@pytest.mark.parametrize("name", ["core", "examples", "tools", "service", "dev", "bench", "train"])
def test_locked_requirements_say_what_and_not_where_from(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert len(pinned(name)) == len(re.findall(r"^[\w.-]+==.*\\\n    --hash=sha256:", text, re.MULTILINE))
    assert "://" not in text
    assert " @ " not in text
    assert not re.search(r"^\s*--(?!hash=)", text, re.MULTILINE)


def test_one_version_of_a_package_in_all_locks() -> None:
    def versions(name: str) -> set[str]:
        return set(
            re.findall(r"^([\w.-]+==[\w.+!-]+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
        )

    assert versions("core") <= versions("examples") <= versions("dev") <= versions("bench")
    assert versions("core") <= versions("tools") <= versions("service") <= versions("dev")


def test_the_wheel_ships_types_rules_and_schemas() -> None:
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    data = {
        str(path.relative_to(SRC))
        for pattern in ("py.typed", "*.cedar", "*.json", "*.csv", "*.toml", "*.onnx")
        for path in (SRC / "interlock").rglob(pattern)
    }
    assert {"interlock/py.typed", "interlock/policy/base.cedar"} <= data
    assert data <= shipped
