"""`interlock init`: a first manifest, inferred from what tools say of themselves, for a human to read and correct.

It is loaded once before it is printed, so what comes out passes `interlock check`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from interlock.cli import given
from interlock.cli.errors import UsageError
from interlock.kernel.errors import InterlockError

Described = tuple[str, str, Mapping[str, object]]  # name, description, JSON Schema of the arguments


def arguments(parser: ArgumentParser) -> None:
    """Where the tools are described, where the manifest goes."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tools", metavar="MODULE:OBJECT", help=given.TOOLS_HELP)
    source.add_argument("--json", metavar="FILE", help="tools as an OpenAI, Anthropic or MCP request lists them")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there; a file that exists is left alone")


def run(options: Namespace) -> int:
    """Print or write the manifest."""
    if options.tools:
        tools: list[Described] = [(t.name, t.description, t.parameters) for t in given.functions(options.tools)]
    else:
        tools = list(_in_json(given.json_in(options.json), options.json))
    if not tools:
        raise UsageError(f"`{options.tools or options.json}` holds no tools", hint="a manifest describes at least one")
    text = _checked(tools)
    if options.output is None:
        print(text, end="")
        return 0
    try:
        with Path(options.output).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        hint = "name another file with -o, or move this one away"
        raise UsageError(f"`{options.output}` exists and was not touched", hint=hint) from None
    except OSError as error:
        raise UsageError(f"`{options.output}` cannot be written: {(error.strerror or 'no file').lower()}") from None
    print(f"wrote {options.output}; read it, then: interlock check {options.output}")
    return 0


def _checked(tools: list[Described]) -> str:
    from interlock.policy.document import parse
    from interlock.policy.errors import PolicyError
    from interlock.policy.infer import suggest_manifest
    from interlock.policy.load import policy_from

    names = [name for name, _, _ in tools]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise InterlockError(f"`{twice[0]}` is the name of two tools; give one of them another `name`")
    text = suggest_manifest(tools)
    document, problems = parse(text, "manifest")
    if problems:
        raise PolicyError(problems)
    data = document.data if isinstance(document.data, dict) else {}
    policy_from(data, schemas={name: schema for name, _, schema in tools})
    return text


def _in_json(data: object, file: str) -> Iterator[Described]:
    """The tools in a request or a list of tools: OpenAI's two dialects, Anthropic's, MCP's, ours."""
    listed = data.get("tools") if isinstance(data, dict) else data
    if not isinstance(listed, list):
        raise UsageError(f"`{file}` lists no tools", hint='write a JSON list of tools, or {"tools": [...]}')
    for index, item in enumerate(listed):
        tool = item.get("function", item) if isinstance(item, dict) else item
        tool = tool if isinstance(tool, dict) else {}
        name, description = tool.get("name"), tool.get("description") or ""
        schema = next((tool[k] for k in ("parameters", "input_schema", "inputSchema") if k in tool), None)
        schema = {"type": "object", "properties": {}} if schema is None else schema
        if not isinstance(name, str) or not isinstance(description, str) or not isinstance(schema, dict):
            told = f"tool {index + 1} in `{file}` is described in no form known here"
            raise UsageError(told, hint='write {"name": …, "description": …, "parameters": {JSON Schema}}')
        yield name, description, schema
