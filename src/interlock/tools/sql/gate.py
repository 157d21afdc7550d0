"""The second layer for PostgreSQL: one statement, parsed by PostgreSQL's own grammar, every node of it on a list.

The walk is generic: it visits every attribute and every element of every node, so nothing hides in a place that nobody
thought of, and a kind of node that is not listed is refused, whatever it means. Tables are resolved through the scopes
of common table expressions; columns and functions go by name. What is judged here is the text that will run: `wrapped`
parses it once more and looks for the same tree. Grants and row-level security hold without this gate; it keeps out what
a role cannot be denied: settings, catalogs, locks, sleeping, functions that execute strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from interlock.tools.kind import ScopeError
from interlock.tools.sql.entry import Entry, Operation
from interlock.tools.sql.functions import GROWING, POSTGRESQL, REFUSED_TYPES
from interlock.tools.sql.grammar import Node, ParseError, statements, tokens

MAX_TOKENS = 2_500  # the parser recurses in C; its own limits lie above this
MAX_DEPTH = 150  # of nodes; a chain of `||` or `+` is as deep as it is long
MAX_GROWTH = 10_000  # characters that one call of a growing function may make
MAX_LIST = 1_000  # elements of one list: an `IN`, a row of values, columns

NODES = frozenset(
    """RawStmt SelectStmt ResTarget ColumnRef A_Star A_Const A_Expr A_ArrayExpr A_Indirection A_Indices Alias Integer
    Float String Boolean BitString BoolExpr BooleanTest NullTest CaseExpr CaseWhen CoalesceExpr MinMaxExpr RowExpr
    CollateClause FuncCall NamedArgExpr TypeCast TypeName SubLink SortBy WindowDef GroupingFunc GroupingSet
    SQLValueFunction ParamRef JoinExpr RangeVar RangeSubselect RangeFunction RangeTableSample ColumnDef WithClause
    CommonTableExpr CTESearchClause CTECycleClause JsonFormat JsonReturning JsonOutput JsonValueExpr JsonParseExpr
    JsonScalarExpr JsonSerializeExpr JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor
    JsonAggConstructor JsonObjectAgg JsonArrayAgg JsonIsPredicate JsonKeyValue JsonFuncExpr JsonBehavior JsonArgument
    JsonTable JsonTableColumn JsonTablePathSpec SetToDefault""".split()
)
_WRITE_NODES = NODES | frozenset("OnConflictClause InferClause IndexElem MultiAssignRef ReturningClause".split())
_OPERATIONS: Mapping[str, Operation] = {
    "SelectStmt": Operation.SELECT,
    "InsertStmt": Operation.INSERT,
    "UpdateStmt": Operation.UPDATE,
    "DeleteStmt": Operation.DELETE,
}
_SPOKEN: Mapping[str, str] = {
    "IntoClause": "SELECT INTO, which creates a table,",
    "LockingClause": "locking rows (FOR UPDATE and its like)",
    "InsertStmt": "INSERT inside another statement",
    "UpdateStmt": "UPDATE inside another statement",
    "DeleteStmt": "DELETE inside another statement",
    "MergeStmt": "MERGE",
    "XmlExpr": "XML",
    "RangeTableFunc": "XMLTABLE",
    "CurrentOfExpr": "WHERE CURRENT OF",
}
_SYSTEM_COLUMNS = frozenset("ctid xmin xmax cmin cmax tableoid".split())
_SAMPLES = frozenset("system bernoulli".split())
# Names that PostgreSQL gives to columns of its own accord.
_GIVEN = frozenset(
    "?column? key value ordinality case coalesce greatest least nullif exists array row excluded grouping".split()
) | frozenset(f"column{i}" for i in range(1, 33))
_WHO = (
    "SVFOP_CURRENT_ROLE",
    "SVFOP_CURRENT_USER",
    "SVFOP_USER",
    "SVFOP_SESSION",
    "SVFOP_CURRENT_CAT",
    "SVFOP_CURRENT_SCH",
)
_EXPLAIN = frozenset("analyze verbose costs buffers timing summary format settings generic_plan wal memory".split())

Scope: TypeAlias = frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement that the gate let pass: its own text, without a semicolon, and what it touches."""

    sql: str
    tree: Node = field(compare=False, repr=False)
    operation: Operation
    explain: bool
    returning: bool
    tables: tuple[str, ...]  # sorted; declared ones only


def judge(sql: str, entry: Entry, *, free: bool = True, parameters: int = 0) -> Statement:
    """The one statement in `sql`, which stays within `entry`.

    `free` text is the model's; what the operator wrote (a named query) may also change rows without a condition.
    `parameters` is how many of `$1`, `$2`… it may use.

    Raises:
        ScopeError: anything else, a text that does not parse included.
    """
    try:
        tree, text = _parsed(sql, entry.limits.sql_chars)
        again, _ = _parsed(text, entry.limits.sql_chars)
        if tree != again:
            raise _refused("the statement reads differently without what stands around it")
        return _judged(tree, text, entry, free=free, parameters=parameters)
    except RecursionError:
        raise _refused("the statement is nested too deeply") from None


def wrapped(statement: Statement, sql: str, entry: Entry) -> str:
    """`sql`, which was built around `statement`: one SELECT that holds exactly the tree that was judged.

    Raises:
        ScopeError: it reads differently in its new place.
    """
    try:
        outer, _ = _parsed(sql, entry.limits.sql_chars + 1_000)
        found = any(node == statement.tree for node in _nodes(outer))
    except RecursionError:
        found = False
    if not found:
        raise _refused("the statement reads differently inside the limits on rows and bytes")
    return sql


def _judged(tree: Node, text: str, entry: Entry, *, free: bool, parameters: int) -> Statement:
    kind = _kind(tree)
    explain = kind == "ExplainStmt"
    root = _explained(tree) if explain else tree
    operation = _OPERATIONS.get(_kind(root))
    if operation is None or (explain and operation is not Operation.SELECT):
        raise _refused(f"{kind.removesuffix('Stmt').upper()} is no statement for this tool; SELECT is")
    _Walk(entry, root, parameters).run()
    tables = _tables(root, entry)
    if operation is not Operation.SELECT:
        _writes(root, operation, entry, free=free)
    return Statement(
        sql=text,
        tree=tree,
        operation=operation,
        explain=explain,
        returning=operation is not Operation.SELECT and root.returningClause is not None,
        tables=tuple(sorted(tables)),
    )


def _parsed(sql: str, most: int) -> tuple[Node, str]:
    """The only statement of `sql`, and its own text."""
    if len(sql) > most:
        raise _refused(f"the statement is longer than {most} characters")
    if "\0" in sql:
        raise _refused("the statement holds a NUL")
    try:
        if tokens(sql) > MAX_TOKENS:
            raise _refused(f"the statement has more than {MAX_TOKENS} tokens")
        found = statements(sql)
    except ParseError as error:
        raise _refused(f"the statement does not parse: {str(error)[:120]}") from None
    if len(found) != 1:
        raise _refused(f"{len(found)} statements where one is expected")
    return found[0]


def _nodes(root: object) -> Iterator[Node]:
    """Every node below `root` and itself, whatever holds it."""
    left: list[tuple[object, int]] = [(root, 0)]
    while left:
        here, depth = left.pop()
        if depth > MAX_DEPTH:
            raise _refused(f"the statement is nested deeper than {MAX_DEPTH} levels")
        if isinstance(here, tuple | list):
            if len(here) > MAX_LIST:
                raise _refused(f"a list in the statement has more than {MAX_LIST} elements")
            left += [(item, depth) for item in here]
        elif isinstance(here, Node):
            yield here
            left += [(getattr(here, name), depth + 1) for name in here]


def _explained(tree: Node) -> Node:
    for option in tree.options or ():
        if option.defname not in _EXPLAIN:
            raise _refused(f"EXPLAIN has no option `{option.defname[:40]}` here")
    root: Node = tree.query
    return root


def _names(parts: Iterable[Node] | None) -> list[str]:
    """The parts of a dotted name, `*` left out."""
    return [p.sval for p in parts or () if _kind(p) == "String"]


def _named(node: Node) -> list[str]:
    """Names of columns and rows that the statement makes up itself."""
    match _kind(node):
        case "ResTarget" | "JsonTableColumn":
            names = [node.name]
        case "Alias":
            names = [node.aliasname, *_names(node.colnames)]
        case "CommonTableExpr":
            names = [node.ctename, *_names(node.aliascolnames)]
        case "ColumnDef":
            names = [node.colname]
        case "TypeName":  # `'x'::text` is a column `text`
            names = _names(node.names)[-1:]
        case "CTESearchClause":
            names = [node.search_seq_column]
        case "CTECycleClause":
            names = [node.cycle_mark_column, node.cycle_path_column]
        case _:
            return []
    return [name for name in names if name]


def _small(call: Node) -> bool:
    """The second argument of `call` is a small number as it stands, and nothing below grows as well."""
    if any(_names(n.funcname)[-1] in GROWING for n in _nodes(call.args) if _kind(n) == "FuncCall"):
        return False
    size = call.args[1] if len(call.args or ()) > 1 else None
    sizes = size.elements if isinstance(size, Node) and size.kind == "A_ArrayExpr" else [size]
    numbers = [n.val.ival for n in sizes if _kind(n) == "A_Const" and n and _kind(n.val) == "Integer"]
    return len(numbers) == len(sizes) == 1 and numbers[0] <= MAX_GROWTH


def _tables(root: Node, entry: Entry) -> set[str]:
    """The declared tables that `root` reads or writes.

    Raises:
        ScopeError: it names another relation. A common table expression hides a table of its name where it is visible.
    """
    touched: set[str] = set()
    target = getattr(root, "relation", None)
    left: list[tuple[object, Scope]] = [(root, frozenset())]
    while left:
        here, scope = left.pop()
        if isinstance(here, tuple | list):
            left += [(item, scope) for item in here]
            continue
        if not isinstance(here, Node):
            continue
        if _kind(here) == "RangeVar":
            name = here.relname
            if name in scope and here.schemaname is None and here is not target:
                continue
            if here.catalogname or here.schemaname not in {None, entry.schema} or name not in entry.tables:
                spoken = ".".join(p for p in (here.catalogname, here.schemaname, name) if p)
                raise _refused(f"the table `{spoken[:80]}` is not declared; declared are {', '.join(entry.tables)}")
            if here is not target and Operation.SELECT not in entry.tables[name].operations:
                raise _refused(f"`{name}` may not be read")
            touched.add(name)
            continue
        clause = getattr(here, "withClause", None)
        if clause is not None:
            names = frozenset(cte.ctename for cte in clause.ctes)
            before = scope | names if clause.recursive else scope
            for cte in clause.ctes:
                left.append((cte.ctequery, before))
                before |= {cte.ctename}
            scope |= names
        left += [(getattr(here, name), scope) for name in here if name != "withClause"]
    return touched


def _writes(root: Node, operation: Operation, entry: Entry, *, free: bool) -> None:
    """Return if `root` writes what its table allows."""
    table = entry.tables[root.relation.relname]
    if operation not in table.operations:
        raise _refused(f"`{table.name}` has no `{operation}`", hint=f"operations: [select, {operation}]")
    targets = [*(getattr(root, "cols", None) or ()), *(getattr(root, "targetList", None) or ())]
    conflict = getattr(root, "onConflictClause", None)
    if conflict is not None and conflict.action == "ONCONFLICT_UPDATE":
        if Operation.UPDATE not in table.operations:
            raise _refused(f"`{table.name}` has no `update`, which ON CONFLICT DO UPDATE is")
        targets += conflict.targetList
    for target in targets:
        if target.name not in {*table.columns, *table.fixed}:
            raise _refused(f"the column `{str(target.name)[:80]}` of `{table.name}` is not declared")
    if free and operation in {Operation.UPDATE, Operation.DELETE} and root.whereClause is None:
        raise _refused(f"{operation.upper()} without WHERE is not allowed")


def _kind(node: object) -> str:
    return node.kind if isinstance(node, Node) else ""


def _refused(message: str, hint: str = "") -> ScopeError:
    return ScopeError(message, layer="gate", hint=hint)


class _Walk:
    """One pass over all nodes: kinds, functions, types, columns."""

    def __init__(self, entry: Entry, root: Node, parameters: int) -> None:
        self.entry, self.root, self.parameters = entry, root, parameters
        self.kinds = NODES if _kind(root) == "SelectStmt" else _WRITE_NODES
        self.functions = POSTGRESQL | entry.functions
        self.columns = {c for t in entry.tables.values() for c in (*t.columns, *t.fixed)} | _GIVEN | set(entry.tables)

    def run(self) -> None:
        nodes = list(_nodes(self.root))
        for node in nodes:
            if _kind(node) not in self.kinds and node is not self.root:
                kind = _kind(node)
                raise _refused(f"{_SPOKEN.get(kind, kind)} is not allowed here")
            self.columns.update(_named(node))
        for node in nodes:
            self._check(node)

    def _check(self, node: Node) -> None:
        match _kind(node):
            case "FuncCall":
                self._function(node)
            case "TypeName":
                self._type(node)
            case "ColumnRef":
                for name in _names(node.fields)[-1:]:
                    self._column(name)
            case "JoinExpr":
                for name in _names(node.usingClause):
                    self._column(name)
            case "A_Indirection":
                for name in _names(node.indirection):
                    self._column(name)
            case "A_Expr" if len(names := _names(node.name)) > 1 and names[:-1] != ["pg_catalog"]:
                raise _refused("operators of other schemas are not allowed")
            case "SQLValueFunction" if node.op.startswith(_WHO):
                raise _refused("CURRENT_USER and its like are not allowed")
            case "ParamRef" if not 0 < node.number <= self.parameters:
                raise _refused("`$1` and its like are not allowed: write the value")
            case "RangeTableSample" if _names(node.method)[-1].lower() not in _SAMPLES:
                raise _refused("tables are sampled by `system` or `bernoulli`")
            case "CollateClause" if len(_names(node.collname)) > 1 and _names(node.collname)[0] != "pg_catalog":
                raise _refused("collations of other schemas are not allowed")
            case _:
                pass

    def _function(self, node: Node) -> None:
        names = _names(node.funcname)
        name, schema = names[-1], names[:-1]
        if ".".join(names) in self.entry.functions:
            return
        if schema not in ([], ["pg_catalog"]) or name not in self.functions:
            raise _refused(f"the function `{'.'.join(names)[:80]}` is not allowed", hint="functions: [its_name]")
        if name in GROWING and not _small(node):
            raise _refused(f"`{name}` takes a written number of at most {MAX_GROWTH}")

    def _type(self, node: Node) -> None:
        names = _names(node.names)
        name, schema = names[-1].lower(), names[:-1]
        if schema not in ([], ["pg_catalog"], [self.entry.schema]):
            raise _refused(f"types of the schema `{schema[0][:40]}` are not allowed")
        if name in REFUSED_TYPES or name.startswith(("reg", "pg_")) or node.pct_type:
            raise _refused(f"the type `{name[:40]}` is not allowed")

    def _column(self, name: str) -> None:
        if name in _SYSTEM_COLUMNS:
            raise _refused(f"the system column `{name}` is not allowed")
        if name not in self.columns and name not in self.functions:
            declared = ", ".join(sorted({c for t in self.entry.tables.values() for c in t.columns}))
            raise _refused(f"the column `{name[:80]}` is not declared; declared are {declared}")
