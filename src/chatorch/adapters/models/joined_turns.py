"""For a provider that may refuse several messages of one role in a row, beside one that is known to take them."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from chatorch.domain.model.context import joined
from chatorch.ports.chat_model import ChatModel, Piece, Prompt


class JoinedTurns(ChatModel):
    """Hands prompts on with neighbours of one role as one message, as `ContextWindow` would join them for all."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        return self._model.stream(replace(prompt, messages=tuple(joined(prompt.messages))))

    async def aclose(self) -> None:
        await self._model.aclose()
