"""The page at /docs: how to send events, made from the same tables as the OpenAPI document.

It is whole in itself: no script, and nothing is loaded from anywhere.
"""

from html import escape

from producer_api.openapi import event_schema
from schemas.event_types import EVENT_TYPES
from schemas.reject_reasons import RejectReason

EXAMPLE = """curl -i -X POST http://127.0.0.1:8080/api/event \\
  -H 'Content-Type: application/json' \\
  -d '{"type": "pageview", "site_id": "my-site", "session_id": "s-1",
       "url": "https://example.com/pricing", "screen": {"width": 1440, "height": 900}}'"""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>headrace: sending events</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
         padding: 0 1rem; color-scheme: light dark; }}
  table {{ border-collapse: collapse; width: 100%; }}
  th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
           border-bottom: 1px solid #8884; }}
  pre {{ overflow-x: auto; padding: 1rem; background: #8882; }}
</style>
<h1>Sending events</h1>
<p>POST one event to <code>/api/event</code>. The answer 202 means that Kafka has it.</p>
<pre>{example}</pre>
<p>POST up to 1,000 to <code>/api/events</code>, as a JSON array, <code>{{"events": [...]}}</code>
or NDJSON; each is judged alone. An <code>event_id</code> of your own makes it safe to send an
event again. <a href="openapi.json">openapi.json</a> has all of this for machines.</p>
<h2>Types</h2>{types}
<h2>Fields</h2>{fields}
<h2>Refusals</h2>{refusals}
</html>
"""


def docs_page() -> str:
    """Return the page as HTML."""
    return _PAGE.format(
        example=escape(EXAMPLE),
        types=_table(
            ("type", "when", "fields of its own"),
            [
                (event_type.name, event_type.about, ", ".join(event_type.fields))
                for event_type in EVENT_TYPES.values()
            ],
        ),
        fields=_table(("field", "kind", ""), _fields()),
        refusals=_table(
            ("status", "code", "sentence"),
            [(str(reason.status), reason.code, reason.sentence) for reason in RejectReason],
        ),
    )


def _fields() -> list[tuple[str, str, str]]:
    schema = event_schema()
    rows = []
    for name, told in schema["properties"].items():
        kinds = told.get("type", "number or string")
        kind = kinds if isinstance(kinds, str) else kinds[0]
        members = ", ".join(told.get("properties", ()))
        about = "required" if name in schema["required"] else told.get("description", members)
        rows.append((name, kind, about))
    return rows


def _table(heads: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    head = "".join(f"<th>{escape(text)}" for text in heads)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) + "\n" for row in rows)
    return f"<table>\n<tr>{head}\n{lines}</table>"
