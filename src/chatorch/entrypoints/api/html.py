"""Pages of our own for who comes with a browser: plain, without scripts, and with nothing from elsewhere."""

import base64
import hashlib
from html import escape
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "text/html"
STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "code{font-family:ui-monospace,monospace}summary{cursor:pointer}details{margin:.5rem 0}"
    "td,th{text-align:left;vertical-align:top;padding:.1rem 1rem .1rem 0}b{display:inline-block;min-width:4rem}"
)
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
}
METHODS = ("get", "post", "put", "patch", "delete")


def page(title: str, *parts: str) -> Response:
    """`parts` are HTML, `title` is text."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    text = (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )
    return Response(text, headers=HEADERS, media_type=MEDIA_TYPE)


def link(address: str, text: str) -> str:
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def described(document: dict[str, Any]) -> list[str]:
    """An OpenAPI document as HTML: a heading a tag, and an operation a line that opens."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                tag = (operation.get("tags") or ["other"])[0]
                by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    return [part for tag, found in by_tag.items() for part in (f"<h2>{escape(tag)}</h2>", *found)]


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    said = escape(operation.get("description") or operation.get("summary", ""))
    rows = [
        _row(f"{given['name']} ({given['in']})", _kind(given.get("schema", {})), given.get("description", ""))
        for given in operation.get("parameters", ())
    ]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        rows.append(_row("body", _kind(content.get("schema", {})), media_type))
    for status, response in operation["responses"].items():
        kinds = [_kind(content.get("schema", {})) for content in response.get("content", {}).values()]
        rows.append(_row(status, ", ".join(filter(None, kinds)), response["description"]))
    head = f"<summary><b>{method.upper()}</b> <code>{escape(path)}</code></summary>"
    return f"<details>{head}<p>{said}</p><table>{''.join(rows)}</table></details>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _kind(schema: dict[str, Any]) -> str:
    """The name of a schema, or its type; of several, all."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", ""))
