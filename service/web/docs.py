"""The API's documentation as one page: plain HTML made from the OpenAPI document, with no script and no other host."""

import json
from html import escape
from typing import Any

from werkzeug import Response

Json = dict[str, Any]

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1d2433;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.05rem;margin:2rem 0 .3rem;border-top:1px solid #d8dde6;padding-top:1.2rem}
code,pre{font:.9em ui-monospace,monospace;background:#f2f4f8;border-radius:4px}code{padding:.1em .3em}
pre{padding:.8rem;overflow:auto}b{display:inline-block;min-width:4.5rem;color:#0b5394}summary{cursor:pointer}
@media(prefers-color-scheme:dark){body{background:#14181f;color:#e3e8f0}code,pre{background:#222936}b{color:#7fb4ea}h2{border-color:#333c4c}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def page(document: Json) -> str:
    """Return the page of an OpenAPI document."""
    info = document["info"]
    sections = "".join(
        _section(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f"<h2 id={escape(name)}>{escape(name)}</h2>{_code(schema)}"
        for name, schema in sorted(document["components"]["schemas"].items())
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}"
        "<p>The same as <a href=openapi.json>OpenAPI 3.1</a>."
        f"{sections}<h1>Schemas</h1>{schemas}"
    )


def response(html: str) -> Response:
    """Return an answer with the page."""
    answer = Response(html, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _section(path: str, method: str, operation: Json) -> str:
    parts = [
        f"<h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2>",
        f"<p>{escape(operation['summary'])}</p>",
    ]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.append(f"<p>Body: {_links(schema)}</p>")
    for status, answer in operation["responses"].items():
        content = next(iter(answer.get("content", {}).values()), None)
        shown = f": {_links(content['schema'])}" if content else ""
        parts.append(f"<div><code>{status}</code> {escape(answer['description'])}{shown}</div>")
    return "".join(parts)


def _links(schema: Json) -> str:
    names = [part["$ref"].rpartition("/")[2] for part in schema.get("oneOf", [schema])]
    return " or ".join(f"<a href='#{escape(name)}'>{escape(name)}</a>" for name in names)


def _code(schema: Json) -> str:
    text = escape(json.dumps(schema, indent=2))
    return f"<details><summary>Schema</summary><pre>{text}</pre></details>"
