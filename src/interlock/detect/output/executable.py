"""What an answer could run where it is shown, pasted or opened: scripts, shell lines, formulas, templates.

Line by line, a line that ends in a backslash together with the next ones; a tag that is open at the end of a line is
waited for. Each kind is looked for only if it is asked for: an answer about shell scripts is full of shell scripts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from interlock.detect.finding import Finding
from interlock.detect.output.links import Action

Kind: TypeAlias = Literal["script", "shell", "formula", "template", "terminal"]

REMOVED = "[code removed]"
KINDS: frozenset[Kind] = frozenset({"script", "shell", "formula", "template", "terminal"})
MAX_HELD = 4096  # characters of a line, or of lines that belong together

_PIPED = (
    r"(?:curl|wget|fetch|iwr|irm|invoke-webrequest|invoke-restmethod)\b(?:[^\n|;]|\\\n){0,1000}\|\s{0,8}"
    r"(?:sudo\s{1,8}(?:-\S{1,20}\s{1,8}){0,4})?(?:/\S{0,40}/)?(?:env\s{1,8})?(?:ba|z|da|k|c|tc|fi)?sh\b"
)
_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "script": re.compile(
        r"(?is)<\s{0,8}script\b(?:[^>]{0,2000}>)?|</\s{0,8}script\s{0,8}>"
        r"|(?<![\w-])on[a-z]{3,24}\s{0,40}=\s{0,40}(?:\"[^\"]{0,2000}\"?|'[^']{0,2000}'?|(?=[^\s=>\"'])[^\s>]{0,2000}\()"
        r"|(?<![\w-])(?:j[\s]{0,4}a[\s]{0,4}v[\s]{0,4}a|v[\s]{0,4}b)[\s]{0,4}s[\s]{0,4}c[\s]{0,4}r[\s]{0,4}i[\s]{0,4}p[\s]{0,4}t[\s]{0,4}:(?=\S)[^\s\"'<>]{0,2000}"
        r"|<\s{0,8}(?:object|embed|applet|iframe)(?=[\s/])[^>]{0,2000}>?"
    ),
    "shell": re.compile(
        rf"(?i)\b{_PIPED}[^\n]{{0,200}}"
        r"|\b(?:curl|wget)\b(?:[^\n|;]|\\\n){0,1000}\|\s{0,8}(?:sudo\s{1,8})?(?:python[\d.]{0,5}|perl|ruby|node|php)\b[^\n]{0,200}"
        r"|\b(?:ba|z|da|k)?sh\s{1,8}(?:-c\s{1,8})?[\"']?(?:<\(|\$\()\s{0,8}(?:curl|wget)\b[^\n]{0,400}"
        r"|\b(?:eval|source|\.)\s{1,8}[\"']?(?:<\(|\$\(|`)\s{0,8}(?:curl|wget)\b[^\n]{0,400}"
        r"|\bbase64\s{1,8}(?:-d|-D|--decode)\b[^\n|]{0,200}\|\s{0,8}(?:sudo\s{1,8})?(?:ba|z|da)?sh\b"
        r"|\b(?:powershell|pwsh)(?:\.exe)?\b[^\n]{0,200}\s-e(?:nc|c|ncodedcommand)?\s{1,8}[A-Za-z0-9+/=]{8,4000}"
        r"|\b(?:iex|invoke-expression)\b[^\n]{0,200}(?:downloadstring|irm|iwr|invoke-webrequest|net\.webclient)[^\n]{0,200}"
        r"|\b(?:irm|iwr|invoke-webrequest|invoke-restmethod)\b[^\n|]{0,400}\|\s{0,8}(?:iex|invoke-expression)\b"
        r"|\b(?:bash|sh|zsh)\s{1,8}-i\b[^\n]{0,40}/dev/(?:tcp|udp)/[^\n]{0,200}"
        r"|\bn(?:c|cat)\b[^\n]{0,200}\s-(?:e|c)\s{1,8}\S{0,40}(?:sh|bash|cmd)[^\n]{0,80}"
        r"|\brm\s{1,8}(?:-\S{1,20}\s{1,8}){0,4}-(?:rf|fr|r\s{1,4}-f)\S{0,4}\s{1,8}(?:--no-preserve-root\s{1,8})?[\"']?(?:/|~|\$HOME)\*?(?=[\s\"';&]|$)[^\n]{0,80}"
        r"|:\(\)\s{0,4}\{\s{0,4}:\|:&\s{0,4}\};:"
    ),
    "formula": re.compile(
        r"(?im)(?:^|(?<=[\t,;|]))[\t \"']{0,8}[=+\-@]{1,3}\s{0,4}"
        r"(?:(?:cmd|powershell|mshta|rundll32|msexcel|dde)\s{0,4}\|[^\n]{0,400}"
        r"|(?:sum\(\s{0,4}1\s{0,4}\+\s{0,4}1\s{0,4}\)\s{0,4}\*\s{0,4}cmd\|)[^\n]{0,400}"
        r"|[^\n]{0,80}\b(?:hyperlink|webservice|importxml|importdata|importhtml|importfeed|importrange|image|filterxml|call|register|dde)\([^\n]{0,400}"
        r"|[^\n,;\t]{0,60}\|\s{0,4}'[^'\n]{0,200}'\s{0,4}![^\n]{0,80})"
    ),
    "template": re.compile(
        r"(?i)\$\{\s{0,8}(?:jndi|lower|upper|env|sys|date|script|url|dns|java)\s{0,4}:[^\n]{0,400}"
        r"|\{\{[^{}\n]{0,400}(?:__\w{1,30}__|\bconfig\b|\bself\b|request\.|constructor|\bpopen\b|\bos\.|\|attr\(|\bcycler\b|\blipsum\b|\b\d{1,6}\s{0,4}\*\s{0,4}['\"]?\d)[^{}\n]{0,400}\}\}"
        r"|\{%[^%\n]{0,400}(?:__\w{1,30}__|\binclude\b|\bimport\b|\bconfig\b|popen)[^%\n]{0,400}%\}"
        r"|<%[=#@]?[^%\n]{0,400}(?:system|exec|runtime|eval|file\.|`)[^%\n]{0,400}%>"
        r"|[$#]\{[^{}\n]{0,200}(?:T\(|java\.|runtime|getclass|exec\(|\b\d{1,6}\s{0,4}\*\s{0,4}\d)[^{}\n]{0,200}\}"
        r"|<#assign\b[^\n>]{0,400}>|<\?(?:php|=)[^\n]{0,400}"
    ),
    "terminal": re.compile(
        "(?:\x1b[\\]P^_X]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]{0,2000}(?:\x07|\x1b\\\\|\x9c)?"
        "|\x1b\\[[0-?]{0,32}[ -/]{0,4}[@-~]|\x1b[ -~]?|\x9b[0-?]{0,32}[ -/]{0,4}[@-~]?"
    ),
}
# A line that ends like this goes on in the next one.
_GOES_ON = re.compile(
    r"(?:\\|\||<[A-Za-z/][^<>]{0,2000}|<|\bon[a-z]{3,24}\s{0,8}=?\s{0,8}(?:\"[^\"]{0,2000}|'[^']{0,2000})?)\s{0,80}\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executable:
    """The kinds of code that an answer may not hold."""

    kinds: frozenset[Kind] = frozenset({"script", "formula", "terminal"})
    action: Action = "mask"


class CodeStream:
    """Takes an answer in pieces; gives back complete lines without code of the given kinds."""

    def __init__(self, executable: Executable) -> None:
        self._executable = executable
        self._held = ""
        self._line = ""
        self._at = 0
        self.findings: list[Finding] = []
        self.refused = False

    def feed(self, text: str) -> str:
        """What of the text so far is safe to show."""
        out: list[str] = []
        self._line += text
        at = 0
        while True:
            end = self._line.find("\n", at, at + MAX_HELD) + 1
            if not end and len(self._line) - at < MAX_HELD:
                break
            end = end or at + MAX_HELD
            out.append(self._take(self._line[at:end]))
            at = end
        self._line = self._line[at:]
        return "" if self.refused else "".join(out)

    def end(self) -> str:
        """The rest."""
        rest, self._line = self._line, ""
        out = self._take(rest, last=True)
        return "" if self.refused else out

    def _take(self, line: str, *, last: bool = False) -> str:
        self._held += line
        if not last and len(self._held) < MAX_HELD and _GOES_ON.search(self._held, max(0, len(self._held) - MAX_HELD)):
            return ""
        held, self._held = self._held, ""
        out = held
        for kind in sorted(self._executable.kinds):
            out = self._without(kind, out, whole=held)
        self._at += len(held)
        return out

    def _without(self, kind: Kind, text: str, *, whole: str) -> str:
        pattern = _PATTERNS[kind]
        for found in pattern.finditer(text):
            start = found.start() if text == whole else 0  # after another kind was cut out: the lines as a whole
            end = found.end() if text == whole else len(whole)
            self.findings.append(
                Finding(
                    id=f"executable/{kind}",
                    span=(self._at + start, self._at + end),
                    severity="high" if kind in {"script", "shell"} else "medium",
                    confidence=0.8,
                    why="the answer holds code that something may run",
                )
            )
            self.refused |= self._executable.action == "refuse"
        new = {"mask": REMOVED, "drop": "", "refuse": REMOVED}[self._executable.action]
        for _ in range(4):
            text, count = pattern.subn(new, text)
            if not count:
                return text
        return text if pattern.search(text) is None else new + "\n"
