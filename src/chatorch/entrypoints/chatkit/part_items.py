"""Parts of a message as ChatKit's items: thoughts as workflows, sources as annotations of the text.

An item of a part is named after its message and the part: ``msg_1.2``.
"""

from collections.abc import Sequence
from typing import Any

from chatorch.domain.model.parts import Facts, Part, PartKind

Json = dict[str, Any]


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


def text_contents(parts: Sequence[Part]) -> list[Json]:
    """The text parts that say something; the last of them is annotated with the sources."""
    texts = [part.body for part in parts if part.kind is PartKind.TEXT and part.body]
    contents: list[Json] = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    if contents and (sources := [part.head for part in parts if part.kind is PartKind.SOURCE and part.head]):
        contents[-1]["annotations"] = [annotation(source) for source in sources]
    return contents


def annotation(source: Facts) -> Json:
    url, title, file_id = source.get("url"), source.get("title"), source.get("file_id")
    if url is not None:
        of: Json = {"type": "url", "url": url, "title": title or url}
    else:
        name = title or file_id or ""
        of = {"type": "file", "title": name, "filename": name}
    return {"type": "annotation", "source": of, "index": None}
