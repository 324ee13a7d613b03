"""What an answer used, where no provider counted it: about four characters a token (`estimate_tokens`)."""

from collections.abc import Iterable

from chatorch.domain.model.calls import AFTERWARDS
from chatorch.domain.model.content import Content
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Message, Usage, UsageSource, estimate_tokens
from chatorch.domain.model.parts import PartKind


def tokens_of(messages: Iterable[PromptMessage]) -> int:
    """What a model is told."""
    return sum(
        estimate_tokens(message.content) + sum(estimate_tokens(part.body) for part in message.reasoning + message.calls)
        for message in messages
    )


def estimated_usage(prompt_tokens: int, content: Content) -> Usage:
    """What came of calls was told to the model, and not said by it."""
    told = sum(estimate_tokens(part.body) for part in content.parts if part.kind is PartKind.TOOL_RESULT)
    prompt_tokens += told
    completion = sum(estimate_tokens(part.body) for part in content.parts if part.kind not in AFTERWARDS)
    reasoning = sum(estimate_tokens(part.body) for part in content.parts if part.kind is PartKind.REASONING)
    return Usage(
        prompt_tokens, completion, prompt_tokens + completion, UsageSource.ESTIMATED, reasoning_tokens=reasoning
    )


def unfinished_attempt(history: Iterable[Message], content: Content) -> Usage:
    """What a model was asked and said whose worker died: its provider bills it all the same."""
    return estimated_usage(sum(estimate_tokens(message.content) for message in history), content)


def with_last_attempt(spent: Usage, attempts: int, content: Content) -> Usage:
    """`spent`, which is of the attempts before, with what the last of so many used, whose worker died as well.

    Each was asked with the same history.
    """
    return spent + estimated_usage(spent.prompt_tokens // (attempts - 1), content)
