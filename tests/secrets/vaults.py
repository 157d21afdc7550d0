"""A vault to test with: a mint that knows its permits, sources in a folder, and tables."""

import random
import re
import string
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.kernel.call import Call
from interlock.kernel.decision import Mint, Permit
from interlock.secrets.sources import Sources
from interlock.secrets.vault import Vault

CORPORA = Path(__file__).parent.parent / "corpora"
MINT = Mint(b"k" * 32)
CALL = Call(tool="fetch", arguments={"url": "https://x.example/"}, agent="a", principal="p", run="r")
OTHER = Call(tool="fetch", arguments={"url": "https://y.example/"}, agent="a", principal="p", run="r")
PERMIT = MINT.permit(CALL.digest, "n1", approved=False)
VALUE = "zq9Lm2Vx8KtB4nRw7YpC"


def check(permit: Permit, call: Call) -> None:
    MINT.check(permit, call.digest)


def vault(environ: Mapping[str, str] | None = None, *handles: str) -> Vault:
    environ = {"KEY": VALUE} if environ is None else environ
    return Vault(handles or ("secret://KEY",), Sources(environ=environ, directories=()), check)


def cases(topic: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((CORPORA / f"{topic}.toml").read_text(encoding="utf-8"))["case"]
    return found


_ALPHABETS = {
    "b62": string.ascii_letters + string.digits,
    "low": string.ascii_lowercase + string.digits,
    "up": string.ascii_uppercase + string.digits,
    "b32": string.ascii_uppercase + "234567",
    "hex": "0123456789abcdef",
    "url": string.ascii_letters + string.digits + "-_",
    "b64": string.ascii_letters + string.digits + "+/",
    "dig": string.digits,
    "bech": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
}


def grown(template: str) -> str:
    """`{hex:8}` becomes eight drawn digits: no table holds anything that looks like a credential."""
    dice = random.Random(template)

    def draw(matched: re.Match[str]) -> str:
        alphabet, length = _ALPHABETS[matched[1]], int(matched[2])
        inner = "".join(dice.choices(alphabet, k=length))
        ends = [c for c in alphabet if c.isalnum()]  # what ends in `-` or `_` is cut by every reader
        return dice.choice(ends) + inner[1:-1] + dice.choice(ends) if length > 1 else dice.choice(ends)

    return re.sub(r"\{(\w+):(\d+)\}", draw, template.replace("{uuid}", "{hex:8}-{hex:4}-{hex:4}-{hex:4}-{hex:12}"))
