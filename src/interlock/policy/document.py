"""YAML text to plain data, with the line of every key. Neither more than YAML's core nor less than all its errors.

The text is read event by event: nothing is constructed but texts, numbers, truth values, lists and mappings, so no
tag can run code, `no` stays the word no, and a date stays text. A key written twice is a problem (readers disagree
on which one counts). Depth and the number of values after aliases are bounded before they cost anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from interlock.kernel.call import MAX_INT, Json
from interlock.policy.errors import Problem

Path: TypeAlias = "tuple[str | int, ...]"

MAX_BYTES = 256 * 1024  # of one file; a manifest of a hundred tools has some 50 KB
MAX_DEPTH = 48
MAX_VALUES = 50_000  # with aliases written out

_INT = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, Json] = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where: `lines` has the line of each key and list item, by path."""

    data: Json
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest thing around it that stands in the file; 0 without a file."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 0


def parse(text: str, file: str) -> tuple[Document, list[Problem]]:
    """The document in `text`. With problems of syntax it is empty; with duplicate keys, the first of each counts."""
    reader = _Reader(file)
    try:
        loader = yaml.SafeLoader(text)
        node = reader.document(loader)
        lines: dict[Path, int] = {}
        data = reader.plain(node, (), lines)
    except _Stop as stop:
        return Document(None), [*reader.problems, stop.problem]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return Document(None), [Problem(file=file, line=line, message=f"this is no YAML: {error.problem}")]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return Document(None), [Problem(file=file, line=line, message="this is no YAML: a control character")]
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML lets some of `int` and `chr` through
        return Document(None), [Problem(file=file, line=1, message=f"this is no YAML: {error}")]
    return Document(data, lines), reader.problems


class _Stop(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(slots=True)
class _Node:
    line: int
    scalar: Json = None
    items: list[_Node] | None = None
    pairs: list[tuple[str, int, _Node]] | None = None


class _Reader:
    """Events to nodes, nodes to data."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._anchors: dict[str, _Node] = {}
        self._left = MAX_VALUES

    def document(self, loader: yaml.SafeLoader) -> _Node:
        loader.get_event()  # the stream's start
        if loader.check_event(yaml.StreamEndEvent):
            self._stop(1, "the file is empty", "start with `version: 1`")
        loader.get_event()  # the document's start
        node = self._node(loader, MAX_DEPTH)
        loader.get_event()  # the document's end
        if not loader.check_event(yaml.StreamEndEvent):
            self._stop(_line(loader.peek_event()), "a second document starts here", "put one manifest into one file")
        return node

    def plain(self, node: _Node, path: Path, lines: dict[Path, int], depth: int = MAX_DEPTH) -> Json:
        """The data that `node` stands for; aliases are written out, within bounds."""
        self._left -= 1
        if self._left < 0:
            self._stop(node.line, f"the file stands for more than {MAX_VALUES} values", "use fewer aliases")
        if depth == 0:
            self._stop(node.line, f"the file is nested deeper than {MAX_DEPTH} levels", "")
        lines.setdefault(path, node.line)
        if node.items is not None:
            found = []
            for index, item in enumerate(node.items):
                lines[*path, index] = item.line
                found.append(self.plain(item, (*path, index), lines, depth - 1))
            return found
        if node.pairs is not None:
            record: dict[str, Json] = {}
            for key, line, value in node.pairs:
                lines[*path, key] = line
                record[key] = self.plain(value, (*path, key), lines, depth - 1)
            return record
        return node.scalar

    def _node(self, loader: yaml.SafeLoader, depth: int) -> _Node:
        event = loader.get_event()
        line = _line(event)
        if depth == 0:
            self._stop(line, f"the file is nested deeper than {MAX_DEPTH} levels", "")
        if isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            if name not in self._anchors:
                self._stop(line, f"`*{name}` refers to nothing above it", f"write `&{name}` first")
            return self._anchors[name]
        if event.tag not in (None, "!"):
            self._stop(line, f"the tag `{event.tag}` is not read", "write the value without it")
        node = _Node(line)
        if isinstance(event, yaml.ScalarEvent):
            node.scalar = self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.items = []
            while not loader.check_event(yaml.SequenceEndEvent):
                node.items.append(self._node(loader, depth - 1))
            loader.get_event()
        else:
            node.pairs = self._pairs(loader, depth)
            loader.get_event()
        if event.anchor:  # only now: a node that holds itself is refused as an alias to nothing
            self._anchors[event.anchor] = node
        return node

    def _pairs(self, loader: yaml.SafeLoader, depth: int) -> list[tuple[str, int, _Node]]:
        seen: dict[str, int] = {}
        pairs = []
        while not loader.check_event(yaml.MappingEndEvent):
            event = loader.peek_event()
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(line, "a key is not plain text", "write a word before the colon")
            loader.get_event()
            key = event.value
            value = self._node(loader, depth - 1)
            if key in seen:
                message = f"`{key}` is written twice; it stands in line {seen[key]} already"
                self.problems.append(Problem(file=self.file, line=line, message=message, remedy="keep one of them"))
                continue
            seen[key] = line
            pairs.append((key, line, value))
        return pairs

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Json:
        text: str = event.value
        if event.style is not None or event.tag is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            number = int(text)
            if abs(number) > MAX_INT:
                self._stop(line, f"`{text}` is beyond 64 bits", "put it between quotes if it is text")
            return number
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        return text

    def _stop(self, line: int, message: str, remedy: str) -> None:
        raise _Stop(Problem(file=self.file, line=line, message=message, remedy=remedy))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
