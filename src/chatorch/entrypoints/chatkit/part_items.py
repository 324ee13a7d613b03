"""Parts of a message as ChatKit's items: thoughts as workflows, calls as calls, sources as annotations of the text.

An item of a part is named after its message and the part: ``msg_1.2``.
"""

from itertools import chain
from typing import Any

import msgspec

from chatorch.domain.model.content import Content
from chatorch.domain.model.parts import Facts, Part, PartKind

Json = dict[str, Any]

MAX_DEPTH = 100
"""Of arguments. The package can tell nothing that is nested some 250 levels deep, and then not the thread either."""


def part_id(message_id: str, index: int) -> str:
    return f"{message_id}.{index}"


def message_id_of(item_id: str) -> str:
    """The message that an item belongs to; itself where it is one."""
    return item_id.partition(".")[0]


def workflow_item(message_id: str, index: int, part: Part, *, over: bool = False) -> Json:
    workflow = {"type": "reasoning", "tasks": [thought_task(part, over=over)], "summary": None, "expanded": False}
    return {"type": "workflow", "id": part_id(message_id, index), "workflow": workflow}


def thought_task(part: Part, *, over: bool = False) -> Json:
    """`over`: nothing more will come, whether the part has ended or not."""
    indicator = "complete" if part.closed or over else "loading"
    return {"type": "thought", "status_indicator": indicator, "title": None, "content": part.body}


def call_item(message_id: str, index: int, part: Part, output: object) -> Json:
    """Never `pending`: a page would carry it out, and answer."""
    return {
        "type": "client_tool_call",
        "id": part_id(message_id, index),
        "status": "completed",
        "call_id": part.head.get("id") or part_id(message_id, index),
        "name": part.head.get("name") or "",
        "arguments": _arguments(part.body),
        "output": {"status": "not_executed"} if output is None else output,
    }


def output_of(result: Part) -> Json:
    return {"status": result.head.get("status"), "content": result.body}


def outputs(content: Content) -> dict[object, Json]:
    """What was answered to calls, by their ids."""
    results = (part for part in content.parts if part.kind is PartKind.TOOL_RESULT and part.closed)
    return {part.head["call_id"]: output_of(part) for part in results if part.head.get("call_id")}


def text_contents(content: Content) -> list[Json]:
    """The text parts that say something; the last of them is annotated with the sources."""
    texts = [part.body for part in content.parts if part.kind is PartKind.TEXT and part.body]
    contents: list[Json] = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    if contents and (sources := sources_of(content)):
        contents[-1]["annotations"] = [annotation(source) for source in sources]
    return contents


def sources_of(content: Content) -> list[Facts]:
    return [part.head for part in content.parts if part.kind is PartKind.SOURCE and part.head]


def annotation(source: Facts) -> Json:
    url, title, file_id = source.get("url"), source.get("title"), source.get("file_id")
    if url is not None:
        of: Json = {"type": "url", "url": url, "title": title or url}
    else:
        name = title or file_id or ""
        of = {"type": "file", "title": name, "filename": name}
    return {"type": "annotation", "source": of, "index": None}


def _arguments(text: str) -> Json:
    """ChatKit has an object; what is none, or cannot be told again, is kept as text."""
    try:
        value = msgspec.json.decode(text) if text.strip() else {}
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) and _flat(value) else {"arguments": text}


def _flat(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        if not inner:
            return True
        level = list(chain.from_iterable(inner))
    return False
