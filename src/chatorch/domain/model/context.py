"""Which messages the model gets to see, and in what form.

What goes out is acceptable to a provider that insists on all of this, whatever happened before: at most one system
message, and that first; then a message of the user's; user and assistant in turn; nothing blank; the user's message
that is to be answered last, and whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, groupby, islice, takewhile

from chatorch.domain.model.calls import calls_in, results_in, results_of_calls, steps_of
from chatorch.domain.model.conversation import Message, Role, refused
from chatorch.domain.model.going_on import broken_off, finished_steps
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.sizes import size_of
from chatorch.domain.model.text import blank

BETWEEN = "\n\n"
"""What stands between messages that go out as one."""

REFUSALS = 2
"""In how many refused prompts a message may have stood, before it counts as the reason."""


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """`reasoning`: the parts of that kind that go back to the model with its own words. `calls` are what it asked for
    by them; a message of the role `tool` follows for each, in their order, whose `call_id` is the call's."""

    role: Role
    content: str
    reasoning: tuple[Part, ...] = ()
    calls: tuple[Part, ...] = ()
    call_id: str | None = None


def going_out(newest_first: Iterable[Message]) -> Iterator[Message]:
    """Those of a thread's messages that may go out, in the same order. The newest may, whatever it is.

    Not what is blank, and not what the provider refused. Nor what stood before two that it refused, without an answer
    since: it may be the reason, and would keep the thread from ever being answered again. What was answered once is
    acceptable; a system message is not left out unasked, since it may hold a rule that the others need.
    """
    older = iter(newest_first)
    yield from islice(older, 1)
    refusals = 0
    for message in older:
        if refused(message):
            refusals += 1
        elif not blank(message.content) or _of_calls(message):
            if _answers(message):
                refusals = 0
            if refusals < REFUSALS or message.role is Role.SYSTEM:
                yield message
        elif _answers(message):
            yield message  # it says nothing, but that a run went on with the turn


def said_aloud(message: Message) -> int:
    """What a message weighs in a prompt that has its text, its calls and their results, in code points."""
    if not message.parts:
        return 0 if blank(message.content) else len(message.content)
    calls = sum(len(call.body) + size_of(call.head) for call in calls_in(message.parts))
    return len(message.content) + calls + sum(len(result.body) for result in results_in(message.parts).values())


def with_reasoning(message: Message) -> int:
    """What it weighs in a prompt that has its reasoning too."""
    return said_aloud(message) + sum(len(part.body) + size_of(part.result) for part in _reasoning_of(message))


def _reasoning_of(message: Message) -> tuple[Part, ...]:
    """What of its reasoning may go back: what came whole, of a model's own answer."""
    if not (message.parts and _answers(message)):
        return ()
    return tuple(part for part in message.parts if part.kind is PartKind.REASONING and part.closed)


def fitting(
    newest_first: Iterable[Message], max_chars: int, weight: Callable[[Message], int] = said_aloud
) -> tuple[list[Message], Message | None]:
    """Those that fit into `max_chars` code points, oldest first, and the first that does not.

    The newest fits in any case, and so does what it goes on with, back to the user's message.
    """
    kept: list[Message] = []
    whole_turn = False
    for message in newest_first:
        max_chars -= weight(message)
        if whole_turn and max_chars < 0:
            return kept[::-1], message
        kept.append(message)
        whole_turn = whole_turn or message.role is Role.USER
    return kept[::-1], None


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The operator's system prompt, then the newest messages that fit into `max_chars` code points.

    No message is ever cut, none that may go out is left out between two that are in, and the newest is always in,
    however long. The system messages that the thread begins with stay in, as long as they fit beside the newest. The
    system prompt does not count against the limit, nor does what stands between messages that are joined.

    `takes_neighbours`: the provider is known to take several messages of one role in a row, so they are not joined.
    `sends_reasoning`: the model is told what it thought, which counts against the limit with the message that it is
    of. Calls go out with what came of them, even where that is that nobody knows, and no result without its call.
    """

    max_chars: int
    system_prompt: str | None = None
    takes_neighbours: bool = False
    sends_reasoning: bool = False

    def select(self, messages: Sequence[Message], instructions: str | None = None) -> tuple[PromptMessage, ...]:
        """`messages` are the thread's, oldest first, the user's message to answer last, or what was done for it since;
        `instructions` are rules for this answer alone, which are told last, whole, and count against the limit.

        Older ones may be missing, but for the system messages that the thread begins with; later ones that then stand
        next to those count as theirs.
        """
        opening = list(takewhile(_is_system, messages))
        asked = [instructions] if instructions and not blank(instructions) else []
        room = self.max_chars - sum(map(len, asked))
        rules = self._rules(opening, room - len(messages[-1].content))
        left = room - sum(len(rule.content) for rule in rules)
        weight = with_reasoning if self.sends_reasoning else said_aloud
        chosen, _ = fitting(going_out(reversed(messages[len(opening) :])), left, weight)
        rules += filter(_is_system, chosen)
        said = list(dropwhile(_is_answer, (message for message in chosen if message.role is not Role.SYSTEM)))
        told = self._told(said)
        turns = told if self.takes_neighbours else joined(told)
        system = [*(rule.content for rule in rules), *asked]
        if self.system_prompt and not blank(self.system_prompt):
            system.insert(0, self.system_prompt)
        return (*([PromptMessage(Role.SYSTEM, BETWEEN.join(system))] if system else []), *turns)

    def _told(self, messages: Sequence[Message]) -> Iterator[PromptMessage]:
        """Results stand behind their calls, wherever in the turn they were kept."""
        for place, each in enumerate(messages, 1):
            if each.role is Role.TOOL:
                continue
            message = finished_steps(each) if broken_off(messages[:place], messages[place:]) else each
            if not message.parts:
                if not blank(message.content):
                    yield PromptMessage(message.role, message.content)
                continue
            keeps_thoughts = self.sends_reasoning and _answers(message)
            answered = results_of_calls(message, messages[place:])
            yield from told_steps(message.parts, answered, sends_reasoning=keeps_thoughts)

    def _rules(self, opening: Sequence[Message], left: int) -> list[Message]:
        """Those of the system messages at the thread's beginning that fit into so much, the first of them first."""
        rules: list[Message] = []
        for rule in opening:
            if blank(rule.content):
                continue
            left -= len(rule.content)
            if left < 0:
                break
            rules.append(rule)
        return rules


def told_steps(
    parts: Iterable[Part], answered: Mapping[str, Part], *, sends_reasoning: bool
) -> Iterator[PromptMessage]:
    """What a model said before, step by step, each with the results of its calls, which `answered` has by their ids."""
    for step in steps_of(parts):
        reasoning = step.reasoning if sends_reasoning else ()
        if step.calls or not blank(step.text):
            yield PromptMessage(Role.ASSISTANT, step.text, reasoning, step.calls)
        for call in step.calls:
            yield PromptMessage(Role.TOOL, answered[call.head["id"]].body, call_id=call.head["id"])


def _of_calls(message: Message) -> bool:
    """Whether it has calls that were made, or results."""
    return bool(message.parts) and bool(calls_in(message.parts) or results_in(message.parts))


def _is_system(message: Message) -> bool:
    return message.role is Role.SYSTEM


def _is_answer(message: Message) -> bool:
    return message.role in (Role.ASSISTANT, Role.TOOL)


def _answers(message: Message) -> bool:
    """Whether a model wrote it: so all that stood before it was taken. Not what a client says that one wrote."""
    return message.role is Role.ASSISTANT and message.run_id is not None


def joined(messages: Iterable[PromptMessage]) -> Iterator[PromptMessage]:
    """Neighbours of one role as one message; calls and results stay by themselves."""
    for (role, alone), neighbours in groupby(messages, _joins):
        if alone:
            yield from neighbours
            continue
        said = list(neighbours)
        content = BETWEEN.join(message.content for message in said)
        yield PromptMessage(role, content, tuple(part for message in said for part in message.reasoning))


def _joins(message: PromptMessage) -> tuple[Role, bool]:
    return message.role, bool(message.calls) or message.role is Role.TOOL
