"""Asking a chat model something, and keeping whatever it says."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from chatorch.domain.model.content import Content, Draft
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.upstream_errors import UpstreamError
from chatorch.ports.chat_model import ChatModel, Finish, PartEnd, PartStart, Piece, Prompt


def prompt(model: str = "any", *said: str, user: str = "usr_1") -> Prompt:
    """The user's messages, oldest first; ``Hello`` where none is given."""
    return Prompt(model, tuple(PromptMessage(Role.USER, text) for text in said or ("Hello",)), user)


def grown(draft: Draft, pieces: Iterable[Piece]) -> Draft:
    """With what a model said. Raises `ValueError` where more than one part is open, or text comes between two."""
    for piece in pieces:
        match piece:
            case str():
                assert piece
                draft.append(piece)
            case PartStart():
                draft.start(piece.kind, piece.head)
            case PartEnd():
                draft.end(piece.result)
    return draft


def told(pieces: Iterable[Piece]) -> Content:
    """What these pieces add up to."""
    return grown(Draft(), pieces).content()


@dataclass
class Heard:
    """All pieces of text, the finish, and the error that ended the stream instead; `seconds` is how long it took."""

    pieces: list[str] = field(default_factory=list)
    draft: Draft = field(default_factory=Draft)
    finishes: list[Finish] = field(default_factory=list)
    error: UpstreamError | None = None
    seconds: float = 0.0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def content(self) -> Content:
        return self.draft.content()

    @property
    def finish(self) -> Finish:
        assert self.error is None, repr(self.error)
        assert len(self.finishes) == 1
        return self.finishes[0]


async def listen(model: ChatModel, asked: Prompt) -> Heard:
    """Hears a stream to its end. What is no `UpstreamError` is a fault of ours and goes through."""
    heard, started = Heard(), time.monotonic()
    try:
        async for item in model.stream(asked):
            if isinstance(item, Finish):
                heard.finishes.append(item)
            else:
                assert not heard.finishes, "something after the finish"
                grown(heard.draft, [item])
                if isinstance(item, str) and heard.content.parts[-1].kind is PartKind.TEXT:
                    heard.pieces.append(item)
    except UpstreamError as error:
        heard.error = error
    heard.seconds = time.monotonic() - started
    return heard
