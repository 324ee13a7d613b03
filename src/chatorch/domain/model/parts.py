"""What a message is made of: a part, with what is known when it begins, what is appended, and what ends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

Facts = Mapping[str, Any]
"""What a head or a result says, as JSON has it; free of NUL and of lone surrogates."""

NOTHING: Facts = MappingProxyType({})


class PartKind(StrEnum):
    TEXT = "text"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    FILE = "file"
    SOURCE = "source"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Part:
    """One part as far as it is known. `closed`: it has ended, so `result` is all there will be.

    A text has a body only, and so has a reasoning, whose result may hold the provider's own ``details``. The head of a
    tool call has ``id`` and ``name``, its body the arguments as JSON text; ``by`` says who is to carry it out
    (`chatorch.domain.model.tools.CarriedOutBy`), where it was offered, and ``needs_approval`` that a person is asked
    first. That of a tool result has ``call_id`` and ``status``, its body is what the tool said. A source (``url``,
    ``title``, ``file_id``) and a file (``file_id``, ``name``, ``media_type``, ``size``) are a head only; the body of
    data (``name``, and ``call_id`` where a tool says so how it gets on) is JSON text.
    """

    kind: PartKind
    head: Facts = field(default_factory=lambda: NOTHING)
    body: str = ""
    result: Facts = field(default_factory=lambda: NOTHING)
    closed: bool = False
