"""Several providers as one chat model: which of them answers, the model's name says."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from chatorch.domain.model.model_names import ModelNames
from chatorch.ports.chat_model import ChatModel, Piece, Prompt


class ModelRouter(ChatModel):
    """Hands each prompt to the provider that `ModelNames` finds, with the name that this one knows the model by.

    `providers` are by name, the default one first; they are ours to close. Nobody steps in for one that fails.
    """

    def __init__(self, providers: Mapping[str, ChatModel]) -> None:
        self._providers = dict(providers)
        self._names = ModelNames(tuple(self._providers))

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """The provider's own stream: nothing stands between it and whoever reads."""
        at = self._names.find(prompt.model)
        return self._providers[at.provider].stream(replace(prompt, model=at.model))

    async def aclose(self) -> None:
        """Closes every one, whatever another raises."""
        async with AsyncExitStack() as stack:
            for provider in self._providers.values():
                stack.push_async_callback(provider.aclose)
