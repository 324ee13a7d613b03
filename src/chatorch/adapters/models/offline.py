"""A chat model that needs no network: it says that it is offline, how to change that, and what it was told."""

import re
from collections.abc import AsyncGenerator, Iterator

from chatorch.domain.model.conversation import Role
from chatorch.ports.chat_model import ChatModel, Finish, Prompt
from chatorch.ports.system import Clock

OFFLINE_MODEL = "offline"
"""What it is called where nobody asked for another by name."""
MAX_SECONDS = 5.0

_INTRODUCTION = """\
**This is the offline model.** No language model is connected, so this answer was put together on the spot.

To connect one, set one or both of these in the environment or in `.env`, and start the server again:

- `OPENAI_API_KEY`: the key for OpenAI, or for whoever serves the model
- `OPENAI_BASE_URL`: the address of any server that speaks OpenAI's API, such as `http://localhost:11434/v1`
"""


class OfflineChatModel(ChatModel):
    """The same prompt always gets the same answer, in Markdown, word by word.

    `piece_delay` is in seconds. However long the message, an answer takes five seconds at most: its pieces grow.
    """

    def __init__(self, clock: Clock, piece_delay: float = 0.04) -> None:
        self._clock = clock
        self._piece_delay = piece_delay

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish]:
        for piece in self._pieces(_answer_to(prompt)):
            yield piece
            await self._clock.sleep(self._piece_delay)
        yield Finish("stop", usage=None)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _pieces(self, text: str) -> Iterator[str]:
        words = re.findall(r"\s*\S+|\s+", text)
        most = max(int(MAX_SECONDS / self._piece_delay), 1) if self._piece_delay > 0 else len(words)
        size = -(-len(words) // most)
        for start in range(0, len(words), size):
            yield "".join(words[start : start + size])


def _answer_to(prompt: Prompt) -> str:
    told = next((message.content for message in reversed(prompt.messages) if message.role is Role.USER), "")
    quote = _block_quote(told)
    return f"{_INTRODUCTION}\nYou wrote:\n\n{quote}\n" if quote else _INTRODUCTION


def _block_quote(text: str) -> str:
    """Every line is quoted, so no markup of the message reaches beyond its quotation."""
    storable = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return "\n".join(f"> {line}".rstrip() for line in storable.splitlines())
