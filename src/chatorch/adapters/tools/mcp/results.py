"""What came of a call, as text for the model: never bytes, and never an address that anybody would fetch."""

import json
import math
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from chatorch.adapters.tools.mcp.texts import short
from chatorch.domain.model.text import storable_text
from chatorch.ports.tools import ToolOutput

MAX_NOTE_CHARS = 100
MAX_PROGRESS_CHARS = 1000


def output_of(result: CallToolResult) -> ToolOutput:
    """Texts and short notes of what is none, joined by line breaks; what is structured before them, where none of them
    is a text: a text says the same (MCP, Structured Content)."""
    said = "\n".join(map(_text, result.content))
    if result.structured_content is not None and not any(map(_is_text, result.content)):
        structured = json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))
        said = f"{structured}\n{said}" if said else structured
    if not said and result.is_error:
        said = "The tool failed, and did not say why."
    return ToolOutput(storable_text(said), is_error=result.is_error is True)


def progress_of(progress: float, total: float | None, message: str | None) -> dict[str, Any] | None:
    """What a server says it has done of a call; None where that is no number."""
    if not math.isfinite(progress):
        return None
    said: dict[str, Any] = {"progress": _number(progress)}
    if total is not None and math.isfinite(total):
        said["total"] = _number(total)
    if message is not None:
        said["message"] = short(message, MAX_PROGRESS_CHARS)
    return said


def _is_text(block: ContentBlock) -> bool:
    return isinstance(block, TextContent) and bool(block.text)


def _text(block: ContentBlock) -> str:
    match block:
        case TextContent(text=text) | EmbeddedResource(resource=TextResourceContents(text=text)):
            return text
        case ImageContent(data=data, mime_type=kind):
            return _note("image", kind, data)
        case AudioContent(data=data, mime_type=kind):
            return _note("audio", kind, data)
        case EmbeddedResource(resource=BlobResourceContents(blob=data, mime_type=kind)):
            return _note("resource", kind, data)
        case ResourceLink(mime_type=kind, size=size):
            told = f", {size} bytes" if size is not None else ""
            return f"[link to a resource, {short(kind or 'of unknown type', MAX_NOTE_CHARS)}{told}]"
    return "[content of unknown type]"


def _note(what: str, kind: str | None, base64: str) -> str:
    return f"[{what}, {short(kind or 'of unknown type', MAX_NOTE_CHARS)}, {len(base64) * 3 // 4} bytes]"


def _number(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
