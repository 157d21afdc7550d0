"""Names inside a root that decide what programs do or that hold secrets, whether or not they exist yet. Pure.

Two reasons: `CONTROL` (hooks, start-up files, settings of editors and agents: written, they run code elsewhere) is
never written; `SECRET` (keys, tokens, `.env`) is neither written nor read. A pattern is a path from any folder on, `*`
stands for any characters of one name; what lies beneath a match is protected too. Names are compared folded, because a
file system that folds case or a program that ignores invisible characters would take them for the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from interlock.tools.files.pattern import matches

Access: TypeAlias = Literal["read", "write"]

OURS = (".interlock", ".interlock-*")  # the second: files that are being written

CONTROL = (
    *".git .hg .svn .gitmodules .gitconfig .hgrc .husky .githooks .envrc .direnv .devcontainer".split(),
    *".bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin".split(),
    *".zlogout .cshrc .tcshrc .login .logout .kshrc .inputrc .xinitrc .xprofile .xsession .xsessionrc".split(),
    *".pam_environment .config/fish .config/autostart .config/systemd .config/environment.d .config/git".split(),
    *".vimrc .gvimrc .exrc .nvimrc .vim .config/nvim .emacs .emacs.d .dir-locals.el .nanorc .vscode .idea .zed".split(),
    *".screenrc .tmux.conf .gdbinit .lldbinit .pdbrc .pythonrc .psqlrc .sqliterc .irbrc .Rprofile .editrc".split(),
    *".ripgreprc .wgetrc .curlrc .mcp.json mcp.json .claude .cursor .windsurf .codex .gemini .aider.conf.yml".split(),
    *"*.code-workspace sitecustomize.py usercustomize.py *.pth interlock.yaml interlock.yml".split(),
    *OURS,
)
SECRET = (
    *".env .env.* .git/config .git/credentials .git-credentials .config/git/credentials .mcp.json .netrc".split(),
    *".ssh .gnupg .aws .azure .kube .config/gcloud .config/gh .docker/config.json .npmrc .yarnrc .pypirc".split(),
    *".pgpass .my.cnf .htpasswd .vault-token .terraformrc .cargo/credentials .cargo/credentials.toml".split(),
    *"id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk *.pem *.key *.p12 *.pfx *.jks *.keystore".split(),
    *"*.kdbx *.ppk credentials.json".split(),
    *OURS,
)
EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults")  # made to be read


@dataclass(frozen=True, slots=True)
class Protected:
    """What is protected in one root: the patterns above, those of the manifest, less what it allows by its pattern."""

    write: _Patterns
    read: _Patterns

    @classmethod
    def of(cls, *, more: Iterable[str] = (), allowed: Iterable[str] = ()) -> Protected:
        """The shipped patterns and `more`, which are neither read nor written; `allowed` are not protected."""
        spared = frozenset(_split(allowed))
        read = [pattern for pattern in _split((*SECRET, *more)) if pattern not in spared]
        write = [pattern for pattern in _split(CONTROL) if pattern not in spared]
        return cls(_Patterns.of([*write, *read]), _Patterns.of(read))

    def why(self, parts: tuple[str, ...], access: Access) -> str:
        """The protected name that `parts` is or lies beneath; empty if there is none."""
        names = tuple(map(folded, parts))
        patterns = self.read if access == "read" else self.write
        for start, name in enumerate(names):
            for pattern in (*patterns.plain.get(name, ()), *patterns.wild):
                if not matches(pattern[0], name) or (len(pattern) == 1 and name in EXAMPLES):
                    continue
                found = names[start : start + len(pattern)]
                if len(found) == len(pattern) and all(map(matches, pattern, found)):
                    return "/".join(pattern)
        return ""


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Patterns by their first name where it is plain, and the others."""

    plain: Mapping[str, tuple[tuple[str, ...], ...]]
    wild: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, patterns: list[tuple[str, ...]]) -> _Patterns:
        wild = tuple(pattern for pattern in patterns if set(pattern[0]) & set("*?["))
        first = {pattern[0] for pattern in patterns} - {pattern[0] for pattern in wild}
        return cls({name: tuple(p for p in patterns if p[0] == name) for name in first}, wild)


def folded(name: str) -> str:
    """`name` as a file system or a program that folds names might see it."""
    if name.isascii():
        return name.lower()
    visible = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold())


def _split(patterns: Iterable[str]) -> list[tuple[str, ...]]:
    return [tuple(map(folded, pattern.strip("/").split("/"))) for pattern in patterns]
