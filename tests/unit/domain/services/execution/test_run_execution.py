"""What a model says beside text: kept as it comes, and never without end."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator

import pytest

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import UsageSource, estimate_tokens
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.domain.model.run import RunFailed, RunStatus
from chatorch.domain.model.upstream_errors import UpstreamTimeout
from chatorch.ports.chat_model import ChatModel, Finish, PartEnd, PartStart, Piece, Prompt
from tests.support.app import ALICE, Chat
from tests.support.fakes import ScriptedChatModel, Step
from tests.support.sizes import size

HM = (PartStart(PartKind.REASONING), "Hm", PartEnd({"details": [{"signature": "s"}]}))
HELLO = (PartStart(PartKind.TEXT), "Hello", PartEnd())


def flood(kind: PartKind, head: dict[str, str], result: dict[str, str], body: str) -> Iterator[Step]:
    for _ in range(1_000_000):
        yield PartStart(kind, head)
        if body:
            yield body
        yield PartEnd(result)


async def test_parts_are_kept_as_they_came() -> None:
    chat = Chat(ScriptedChatModel(*HM, *HELLO, Finish("stop", None)))
    run = await chat.ended(await chat.start())
    assert run.text == "Hello"
    assert run.content.parts[1:] == (
        Part(PartKind.REASONING, {}, "Hm", {"details": [{"signature": "s"}]}, closed=True),
        Part(PartKind.TEXT, {}, "Hello", {}, closed=True),
    )
    assert run.outcome is not None
    assert run.outcome.usage is not None
    assert (run.outcome.usage.reasoning_tokens, run.outcome.usage.source) == (1, UsageSource.ESTIMATED)


class Holding(ChatModel):
    """Says how many beside itself hold the messages that it is asked with, once it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.others = -1

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        messages = prompt.messages
        del prompt
        self.asked.set()
        await self.go_on.wait()
        self.others = sys.getrefcount(messages) - 2  # this frame's, and the argument's
        yield Finish("stop", None)

    async def aclose(self) -> None: ...


async def test_a_run_does_not_keep_what_it_was_asked() -> None:
    text, model = "Asked once", Holding()
    chat = Chat(model)  # type: ignore[arg-type]
    run = await chat.start(text)
    await asyncio.wait_for(model.asked.wait(), 5)
    model.go_on.set()
    outcome = (await chat.ended(run)).outcome
    assert model.others == 0
    assert outcome is not None
    assert outcome.usage is not None
    assert outcome.usage.prompt_tokens == estimate_tokens(text) + estimate_tokens("Be brief.")


async def test_a_failure_within_a_part_keeps_what_came_of_it() -> None:
    chat = Chat(ScriptedChatModel(*HM[:2], UpstreamTimeout()))
    run = await chat.ended(await chat.start())
    assert run.status is RunStatus.FAILED
    assert run.content.parts[1:] == (Part(PartKind.REASONING, {}, "Hm"),)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kind", "head", "result", "body"),
    [
        (PartKind.SOURCE, {"url": "https://example.com/"}, {}, ""),
        (PartKind.REASONING, {}, {"details": "x" * 1000}, ""),
        (PartKind.TOOL_CALL, {"id": "i" * 1000, "name": "n"}, {}, "{}"),
        (PartKind.TEXT, {}, {}, "a"),
    ],
)
async def test_a_million_parts_end_as_a_text_without_end_does(
    kind: PartKind, head: dict[str, str], result: dict[str, str], body: str
) -> None:
    most = size(50_000, 1_000_000)
    steps = flood(kind, head, result, body)
    chat = Chat(model := ScriptedChatModel(), max_answer_chars=most)
    model.then(*(step for _, step in zip(range(most // 25), steps, strict=False)))
    run = await chat.ended(await chat.start())
    assert isinstance((await chat.heard(run))[-1], RunFailed)
    assert run.outcome is not None
    assert run.outcome.error is not None
    assert run.outcome.error.code == "upstream_invalid"
    assert 0 < len(run.content.parts) <= most / 100


@pytest.mark.parametrize(
    "steps",
    [
        [PartStart(PartKind.SOURCE, {"url": "x" * 600_000})],
        [*HM[:2], PartEnd({"details": [{"data": "x" * 600_000}]})],
    ],
    ids=["head", "result"],
)
async def test_a_head_or_a_result_that_is_huge_fails_the_run(steps: list[Step]) -> None:
    chat = Chat(ScriptedChatModel(*steps))
    run = await chat.ended(await chat.start())
    assert run.status is RunStatus.FAILED
    assert run.content.weight <= 2
    assert (await chat.runs.read(ALICE, run.id)).outcome == run.outcome


DEEP: dict[str, object] = {}
for _ in range(2000):
    DEEP = {"deeper": DEEP}


@pytest.mark.parametrize(
    "facts",
    [
        {"title": "a\0"},
        {"title": "\ud800"},
        {"\ud800": "a"},
        {"details": [{"n": float("nan")}]},
        {"details": {"n": 2**64}},
        {"details": (b"a",)},
        {"details": {1: "a"}},
        DEEP,
        None,
    ],
    ids=["NUL", "half a character", "half in a name", "NaN", "huge", "bytes", "a number's name", "deep", "nothing"],
)
@pytest.mark.parametrize("where", ["head", "result"])
async def test_what_cannot_be_stored_or_told_fails_the_run_and_spoils_nothing(facts: Facts, where: str) -> None:
    steps: list[Step] = [PartStart(PartKind.REASONING, facts if where == "head" else {}), "hm", PartEnd(facts)]
    chat = Chat(ScriptedChatModel("so", *steps))
    run = await chat.ended(await chat.start())
    assert run.outcome is not None
    assert run.outcome.error is not None
    assert run.outcome.error.code == "upstream_invalid"
    assert run.text == "so"
    assert all(not part.result for part in run.content.parts)


@pytest.mark.parametrize(
    "start",
    [
        PartStart(PartKind.TOOL_CALL, {"name": "weather"}),
        PartStart(PartKind.TOOL_RESULT, {"call_id": ["c1"], "status": "failed"}),
        PartStart(PartKind.SOURCE, {"url": {}}),
        PartStart("video", {}),  # type: ignore[arg-type]
    ],
    ids=["a call without an id", "a result of a list", "a source that is none", "no kind at all"],
)
async def test_a_head_that_lacks_what_its_kind_has_fails_the_run(start: PartStart) -> None:
    chat = Chat(ScriptedChatModel("so", start, PartEnd()))
    run = await chat.ended(await chat.start())
    assert run.outcome is not None
    assert run.outcome.error is not None
    assert run.outcome.error.code == "upstream_invalid"
    assert run.content == Content.of("so")
