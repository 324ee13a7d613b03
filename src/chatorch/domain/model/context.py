"""Which messages the model gets to see."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatorch.domain.model.conversation import Message, Role


@dataclass(frozen=True, slots=True)
class PromptMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The operator's system prompt, then the newest messages that fit into `max_chars` code points.

    No message is ever cut, none is left out between two that are in, and the newest is always in, however long.
    The system prompt does not count against the limit.
    """

    max_chars: int
    system_prompt: str | None = None

    def select(self, messages: Sequence[Message]) -> tuple[PromptMessage, ...]:
        """`messages` are the thread's, oldest first, the user's message to answer last."""
        chosen: list[PromptMessage] = []
        left = self.max_chars
        for message in reversed(messages):
            left -= len(message.content)
            if chosen and left < 0:
                break
            if message.content:
                chosen.append(PromptMessage(message.role, message.content))
        if self.system_prompt:
            chosen.append(PromptMessage(Role.SYSTEM, self.system_prompt))
        return tuple(reversed(chosen))
