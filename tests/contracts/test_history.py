"""What of a thread every store hands to the model: no more than goes out, and no less than fits."""

from dataclasses import replace

import pytest

from chatorch.domain.model.conversation import MessageId, NewMessage, Role, RunId
from chatorch.domain.model.run import RunStatus
from chatorch.ports.runs import NewRun, OpenTurn
from tests.support.stores import Stores, ending, new_run, turn


async def open_and_finish(stores: Stores, name: str, new: NewRun, opening: OpenTurn) -> None:
    await stores.runs.open_run(new, opening)
    assert await stores.progress.finish(ending(name))


def system_then(name: str, thread: str, *contents: str) -> OpenTurn:
    """A thread that begins with two system messages; `contents` are the user's."""
    rules = tuple((MessageId(f"msg_{name}_s{i}"), NewMessage(Role.SYSTEM, f"rule {i}")) for i in range(2))
    said = turn(name, thread, *contents, opens=True)
    return replace(said, messages=(*rules, *said.messages))


@pytest.mark.parametrize("chars", [0, 1, 9, 20, 40, 1000])
async def test_the_system_messages_at_the_beginning_come_with_any_history_and_once(stores: Stores, chars: int) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), system_then("m0", "t", "one"))
    await open_and_finish(stores, "r1", new_run("r1"), turn("m1", "t", "two"))

    opened = await stores.runs.open_run(new_run("r2", history_chars=chars), turn("m2", "t", "three"))

    history = [message.content for message in opened.history]
    assert history[:2] == ["rule 0", "rule 1"]
    assert history[-1] == "three"
    assert history[2:] == ["one", "an answer", "two", "an answer", "three"][-len(history[2:]) :]


async def test_of_a_long_thread_too_and_none_that_stands_later(stores: Stores) -> None:
    opening = system_then("m0", "t", *["x" * 10] * 200)
    later = (MessageId("msg_m0_late"), NewMessage(Role.SYSTEM, "late rule"))
    opening = replace(opening, messages=(*opening.messages[:50], later, *opening.messages[50:]))
    await open_and_finish(stores, "r0", new_run("r0"), opening)

    opened = await stores.runs.reopen_run(new_run("r1", history_chars=50), RunId("run_r0"))

    assert [message.content for message in opened.history] == ["rule 0", "rule 1", *["x" * 10] * 5]


async def test_a_blank_or_empty_answer_takes_no_room_in_the_history(stores: Stores) -> None:
    await open_and_finish(stores, "r0", new_run("r0"), turn("m0", "t", "one", opens=True))
    for name in ("r1", "r2"):
        await stores.runs.open_run(new_run(name), turn(f"m_{name}", "t", name))
        await stores.progress.finish(ending(name, " \n" * 500, status=RunStatus.FAILED))

    opened = await stores.runs.open_run(new_run("r3", history_chars=30), turn("m3", "t", "two"))

    assert [m.content for m in opened.history if m.content.strip()] == ["one", "an answer", "r1", "r2", "two"]
