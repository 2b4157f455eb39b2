"""The same call as a line for a shell or a program; the function's key stays a placeholder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

MOST_TEXT = 4_000  # characters of a body that is written out


@dataclass(frozen=True, slots=True)
class Snippet:
    """One language's text; `id` is what the address of the page calls it."""

    id: str
    title: str
    text: str


def snippets(
    url: str, body: Any, *, method: str, query: Mapping[str, Any], headers: Mapping[str, str]
) -> list[Snippet]:
    """Curl, Python and JavaScript; a body that is too long to be read is taken from a file."""
    where = f"{url}?{urlencode(query, doseq=True)}" if query else url
    text = json.dumps(body, separators=(",", ":"))
    return [
        Snippet("curl", "curl", _curl(where, text, method, headers)),
        Snippet("python", "Python", _python(where, body, text, method, headers)),
        Snippet("javascript", "JavaScript", _javascript(where, text, method, headers)),
    ]


def _curl(url: str, text: str, method: str, headers: Mapping[str, str]) -> str:
    data = _shell(text) if len(text) <= MOST_TEXT else "@input.json"
    more = "".join(f" \\\n  -H {_shell(f'{name}: {value}')}" for name, value in headers.items())
    verb = "" if method == "POST" else f" -X {method}"
    return (
        f"curl -s{verb} {_shell(url) if '?' in url else url} \\\n"
        f'  -H "x-functions-key: $FUNCTION_KEY" -H "content-type: application/json"{more} \\\n'
        f"  -d {data}"
    )


def _python(url: str, body: Any, text: str, method: str, headers: Mapping[str, str]) -> str:
    told = "".join(f", {name!r}: {value!r}" for name, value in headers.items())
    given = repr(body) if len(text) <= MOST_TEXT else 'json.load(open("input.json"))'
    imports = "import os" if len(text) <= MOST_TEXT else "import json\nimport os"
    return (
        f"{imports}\n\nimport httpx\n\n"
        f"answer = httpx.request(\n    {method!r},\n    {url!r},\n"
        f'    headers={{"x-functions-key": os.environ["FUNCTION_KEY"]{told}}},\n'
        f"    json={given},\n)\n"
        'print(answer.json(), answer.headers["x-cache"])'
    )


def _javascript(url: str, text: str, method: str, headers: Mapping[str, str]) -> str:
    told = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in headers.items())
    given = f"JSON.stringify({text})" if len(text) <= MOST_TEXT else 'await readFile("input.json")'
    imports = "" if len(text) <= MOST_TEXT else 'import { readFile } from "node:fs/promises";\n\n'
    return (
        f"{imports}const answer = await fetch({json.dumps(url)}, {{\n  method: {json.dumps(method)},\n"
        f'  headers: {{"x-functions-key": process.env.FUNCTION_KEY, "content-type": "application/json"{told}}},\n'
        f"  body: {given},\n}});\n"
        'console.log(await answer.json(), answer.headers.get("x-cache"));'
    )


def _shell(text: str) -> str:
    """One word of a POSIX shell, in which nothing has a meaning."""
    return "'" + text.replace("'", "'\\''") + "'"
