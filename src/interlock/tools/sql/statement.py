"""Our own statements for the tools of one table: names quoted, values always parameters, in order."""

# ruff: noqa: S608 - this module writes SQL: names are declared and go through `ident`, values are parameters
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from interlock.kernel.call import Frozen
from interlock.tools.kind import ScopeError
from interlock.tools.sql.entry import PRINCIPAL, Engine, Entry, Scalar, Table
from interlock.tools.sql.grants import ident
from interlock.tools.sql.spec import OPERATORS


class Builder:
    """Collects values while a statement is written."""

    def __init__(self, entry: Entry, table: Table, principal: str) -> None:
        self.values: list[Scalar] = []
        self._lite, self._table, self._principal = entry.engine is Engine.SQLITE, table, principal
        self._read_from = ident(table.name) if self._lite else f"{ident(entry.schema)}.{ident(table.name)}"
        self._write_to = f"main.{ident(table.name)}" if self._lite else self._read_from

    def find(self, arguments: Mapping[str, Frozen], limit: int) -> str:
        """A SELECT with the model's filters, columns and order."""
        columns = _list(arguments.get("columns")) or self._table.columns
        sql = f"SELECT {', '.join(self._column(c) for c in columns)} FROM {self._read_from}"
        if where := " AND ".join(self._filters(_map(arguments.get("where")))):
            sql += f" WHERE {where}"
        if order := arguments.get("order_by"):
            sql += f" ORDER BY {self._column(order)}{' DESC' if arguments.get('descending') else ''}"
        return f"{sql} LIMIT {limit}"

    def insert(self, arguments: Mapping[str, Frozen]) -> str:
        """An INSERT of one row, the table's fixed columns set by us."""
        values = dict(_map(arguments.get("values")))
        if given := values.keys() & self._table.fixed.keys():
            raise ScopeError(f"`{min(given)}` is set by the tool")
        row: dict[str, Frozen] = {c: self._principal if v == PRINCIPAL else v for c, v in self._table.fixed.items()}
        row = values | row
        columns = ", ".join(self._column(c, fixed=True) for c in row)
        sql = f"INSERT INTO {self._write_to} ({columns}) VALUES ({', '.join(map(self._value, row.values()))})"
        if not self._lite and self._table.id and "select" in self._table.operations:
            sql += f" RETURNING {', '.join(map(ident, self._table.id))}"
        return sql

    def update(self, arguments: Mapping[str, Frozen]) -> str:
        """An UPDATE of the rows that equal `where`, within the principal's."""
        values = _map(arguments.get("values"))
        sets = ", ".join(f"{self._column(c)} = {self._value(v)}" for c, v in values.items())
        return f"UPDATE {self._write_to} SET {sets} WHERE {self._equal(arguments)}"

    def delete(self, arguments: Mapping[str, Frozen]) -> str:
        """A DELETE of the rows that equal `where`, within the principal's."""
        return f"DELETE FROM {self._write_to} WHERE {self._equal(arguments)}"

    def _equal(self, arguments: Mapping[str, Frozen]) -> str:
        where = _map(arguments.get("where"))
        if not where:
            raise ScopeError("`where` names no column")
        parts = [
            f"{self._column(c)} IS NULL" if v is None else f"{self._column(c)} = {self._value(v)}"
            for c, v in where.items()
        ]
        if self._lite and self._table.rows:
            quoted = self._principal.replace("'", "''")
            parts.append(f"(\n{self._table.condition(chr(39) + quoted + chr(39))}\n)")
        return " AND ".join(parts)

    def _filters(self, where: Mapping[str, Frozen]) -> Iterator[str]:
        for name, given in where.items():
            column = self._column(name)
            match given:
                case None:
                    yield f"{column} IS NULL"
                case Mapping():
                    for word, value in given.items():
                        if word not in OPERATORS:
                            raise ScopeError(f"`{word[:20]}` is no comparison; use {', '.join(OPERATORS)}")
                        if value is None and word in {"eq", "ne"}:
                            yield f"{column} IS {'NOT ' if word == 'ne' else ''}NULL"
                        else:
                            yield f"{column} {OPERATORS[word]} {self._value(value)}"
                case tuple():
                    if not given:
                        raise ScopeError(f"the list for `{name[:60]}` is empty")
                    yield f"{column} IN ({', '.join(map(self._value, given))})"
                case _:
                    yield f"{column} = {self._value(given)}"

    def _column(self, name: Frozen, *, fixed: bool = False) -> str:
        if name not in self._table.columns and not (fixed and name in self._table.fixed):
            raise ScopeError(f"the column `{str(name)[:80]}` is not declared")
        return ident(str(name))

    def _value(self, value: Frozen) -> str:
        if not isinstance(value, str | int | float | bool | None):
            raise ScopeError("a value is a text, a number, true, false or null")
        self.values.append(value)
        return "?" if self._lite else f"${len(self.values)}"


def texts(values: Sequence[Scalar]) -> list[str | None]:
    """Values as PostgreSQL reads them: text whose type the column decides.

    Raises:
        ScopeError: a NUL, which PostgreSQL's text cannot hold.
    """
    out: list[str | None] = []
    for value in values:
        match value:
            case None:
                out.append(None)
            case bool():
                out.append("true" if value else "false")
            case _:
                if "\0" in (text := str(value)):
                    raise ScopeError("a value holds a NUL")
                out.append(text)
    return out


def _map(value: Frozen) -> Mapping[str, Frozen]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ScopeError("a mapping of columns to values is expected")
    return value


def _list(value: Frozen) -> tuple[Frozen, ...]:
    return value if isinstance(value, tuple) else ()
