"""What an answer used, where no provider counted it: about four characters a token (`estimate_tokens`)."""

from collections.abc import Iterable, Sequence

from chatorch.domain.model.calls import AFTERWARDS, calls_in, kept_content, results_in, steps_of
from chatorch.domain.model.content import Content
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Message, Usage, UsageSource, estimate_tokens
from chatorch.domain.model.parts import Part, PartKind


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


def with_attempt(
    spent: Usage | None, history: Iterable[Message], content: Content, kept: int, *, silent: bool
) -> Usage:
    """With what a model was asked and said whose worker died: its provider bills it all the same.

    `spent` is of attempts before, and of what was `kept` of `content`. A `silent` attempt has said nothing since,
    whatever there is of one before.
    """
    before = _kept_parts(content, kept)
    since = () if silent else content.parts[len(before) :]
    told = sum(estimate_tokens(message.content) for message in history)
    return _with_step(spent, told + sum(estimate_tokens(part.body) for part in before), before, since)


def with_last_attempt(spent: Usage, attempts: int, content: Content, kept: int) -> Usage:
    """The same of the last of so many, where nobody needs the history: its model was told about as much as each time
    before."""
    before = _kept_parts(content, kept)
    asked = attempts - 1 + sum(bool(step.calls) for step in steps_of(before))
    return _with_step(spent, spent.prompt_tokens // max(asked, 1), before, content.parts[len(before) :])


def _kept_parts(content: Content, kept: int) -> Sequence[Part]:
    return kept_content(content, kept).parts if kept else ()


def _with_step(spent: Usage | None, told: int, before: Sequence[Part], since: Sequence[Part]) -> Usage:
    """As long as one of its calls has no result, a model is not asked for more."""
    results = results_in(before)
    if spent is not None and not since and any(call.head["id"] not in results for call in calls_in(before)):
        return spent
    step = estimated_usage(told, Content(tuple(since)))
    return step if spent is None else spent + step
