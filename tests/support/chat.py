"""Asking a chat model something, and keeping whatever it says."""

import time
from dataclasses import dataclass, field

from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.upstream_errors import UpstreamError
from chatorch.ports.chat_model import ChatModel, Finish, Prompt


def prompt(model: str = "any", *said: str, user: str = "usr_1") -> Prompt:
    """The user's messages, oldest first; ``Hello`` where none is given."""
    return Prompt(model, tuple(PromptMessage(Role.USER, text) for text in said or ("Hello",)), user)


@dataclass
class Heard:
    """All pieces, the finish, and the error that ended the stream instead; `seconds` is how long it took."""

    pieces: list[str] = field(default_factory=list)
    finishes: list[Finish] = field(default_factory=list)
    error: UpstreamError | None = None
    seconds: float = 0.0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

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
                assert not heard.finishes, "text after the finish"
                heard.pieces.append(item)
    except UpstreamError as error:
        heard.error = error
    heard.seconds = time.monotonic() - started
    return heard
