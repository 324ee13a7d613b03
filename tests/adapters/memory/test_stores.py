"""What only the stores in memory have; what they share with others is in the contracts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.annotations import SideItem
from chatorch.domain.model.call_answers import CallOutput
from chatorch.domain.model.calls import call_part
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import (
    MessageId,
    NewMessage,
    Role,
    RunId,
    SideItemId,
    Thread,
    ThreadId,
    Usage,
    UsageSource,
)
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.identity import Scope, User, UserId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import Outcome, RunStatus
from chatorch.ports.calls import AnsweredCalls
from chatorch.ports.execution_store import Checkpoint, LiveRun, RunEnd
from chatorch.ports.runs import NewRun, OpenTurn
from chatorch.ports.threads import ThreadChange

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANN, THREAD, RUN = UserId("usr_ann"), ThreadId("thr_1"), RunId("run_1")
ANSWERED = AnsweredCalls(THREAD, (CallOutput("call_1", "here"),), (MessageId("msg_9"),))
USER = User(ANN, "ann", "$hash", frozenset({Scope.CHAT}), False, NOW, NOW)
SIDE_ITEM = SideItem(SideItemId("itm_1"), THREAD, {}, NOW)
NEW_THREAD = Thread(ThreadId("thr_9"), ANN, "New", {}, NOW, NOW)
EVE = User(UserId("usr_eve"), "eve", "$hash", frozenset({Scope.CHAT}), False, NOW, NOW)
PAGE: PageRequest[Any] = PageRequest()

OPERATIONS: dict[str, Callable[[MemoryStore], Any]] = {
    "users.add": lambda store: store.users.add(EVE),
    "users.by_username": lambda store: store.users.by_username("ann"),
    "users.by_id": lambda store: store.users.by_id(ANN),
    "users.list_all": lambda store: store.users.list_all(),
    "users.set_disabled": lambda store: store.users.set_disabled(ANN, disabled=True),
    "users.by_ids": lambda store: store.users.by_ids([ANN]),
    "users.set_tools": lambda store: store.users.set_tools(ANN, ("search",)),
    "users.set_password": lambda store: store.users.set_password(ANN, "$other", NOW),
    "threads.list_threads": lambda store: store.threads.list_threads(ANN, PAGE),
    "threads.read_thread": lambda store: store.threads.read_thread(ANN, THREAD),
    "threads.update_thread": lambda store: store.threads.update_thread(ANN, THREAD, ThreadChange("New"), NOW),
    "threads.delete_thread": lambda store: store.threads.delete_thread(ANN, THREAD, NOW),
    "threads.list_messages": lambda store: store.threads.list_messages(ANN, THREAD, PAGE),
    "threads.questions": lambda store: store.threads.questions(ANN, THREAD, "Hi", 9),
    "threads.live_run": lambda store: store.threads.live_run(ANN, THREAD),
    "threads.find_thread": lambda store: store.threads.find_thread(ANN, "mine"),
    "threads.add_thread": lambda store: store.threads.add_thread(NEW_THREAD),
    "threads.add_messages": lambda store: store.threads.add_messages(ANN, THREAD, []),
    "thread_items.list_items": lambda store: store.thread_items.list_items(ANN, THREAD, limit=9),
    "thread_items.read_item": lambda store: store.thread_items.read_item(ANN, THREAD, "msg_1"),
    "thread_items.put_item": lambda store: store.thread_items.put_item(ANN, THREAD, SIDE_ITEM),
    "thread_items.remove_item": lambda store: store.thread_items.remove_item(ANN, THREAD, "msg_1"),
    "thread_notes.read_notes": lambda store: store.thread_notes.read_notes(ANN, [THREAD]),
    "thread_notes.put_note": lambda store: store.thread_notes.put_note(ANN, THREAD, {"a": 1}),
    "thread_notes.rate": lambda store: store.thread_notes.rate(ANN, THREAD, ["msg_1"], "positive", NOW),
    "runs.open_run": lambda store: store.runs.open_run(*opening("2")),
    "runs.reopen_run": lambda store: store.runs.reopen_run(opening("2")[0], RUN),
    "runs.answer_again": lambda store: store.runs.answer_again(opening("2")[0], THREAD, MessageId("msg_1")),
    "runs.read_run": lambda store: store.runs.read_run(ANN, RUN),
    "runs.request_cancel": lambda store: store.runs.request_cancel(ANN, RUN),
    "runs.forget_keys": lambda store: store.runs.forget_keys(NOW, 9),
    "calls.asking_run": lambda store: store.calls.asking_run(ANN, THREAD),
    "calls.answer_calls": lambda store: store.calls.answer_calls(opening("2")[0], ANSWERED),
    "calls.call_ids": lambda store: store.calls.call_ids(THREAD, RUN),
    "calls.said_since": lambda store: store.calls.said_since(ANN, MessageId("msg_1")),
    "execution_store.checkpoint": lambda store: store.execution_store.checkpoint([Checkpoint(RUN, 1, "Hello")]),
    "execution_store.claim": lambda store: store.execution_store.claim([LiveRun(RUN, 1, 0)], NOW, history_chars=9),
    "execution_store.finish": lambda store: store.execution_store.finish(
        RunEnd(RUN, 1, Outcome(RunStatus.FAILED), Content.of("Hello"), NOW)
    ),
    "execution_store.live_runs": lambda store: store.execution_store.live_runs(),
    "execution_store.witness": lambda store: store.execution_store.witness([RUN]),
    "execution_store.interrupt": lambda store: store.execution_store.interrupt([LiveRun(RUN, 1, 0)], NOW),
}


def opening(number: str, **metadata: Any) -> tuple[NewRun, OpenTurn]:
    new = NewRun(RunId(f"run_{number}"), MessageId(f"msg_a{number}"), ANN, "a-model", NOW, 1000)
    message = NewMessage(Role.USER, "Hi", metadata=metadata)
    return new, OpenTurn(ThreadId(f"thr_{number}"), "Hi", ((MessageId(f"msg_{number}"), message),))


async def everything(store: MemoryStore) -> list[Any]:
    threads = await store.threads.list_threads(ANN, PAGE)
    messages = [await store.threads.list_messages(ANN, thread.id, PAGE) for thread in threads.items]
    runs = [await store.threads.live_run(ANN, thread.id) for thread in threads.items]
    items = [await store.thread_items.list_items(ANN, thread.id, limit=9) for thread in threads.items]
    notes = await store.thread_notes.read_notes(ANN, [thread.id for thread in threads.items])
    return [
        items,
        notes,
        await store.users.list_all(),
        threads,
        messages,
        runs,
        await store.execution_store.live_runs(),
        store.interactions(),
    ]


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await store.users.add(USER)
    await store.runs.open_run(*opening("1"))
    return store


def test_every_method_of_every_store_is_among_the_operations(store: MemoryStore):
    methods = {
        f"{name}.{method}"
        for name in ("users", "threads", "thread_items", "thread_notes", "runs", "calls", "execution_store")
        for method in dir(getattr(store, name))
        if not method.startswith("_")
    }
    assert set(OPERATIONS) == methods


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_store_that_is_switched_off_says_so_and_changes_nothing(store: MemoryStore, name: str):
    before = await everything(store)
    store.available = False
    with pytest.raises(StoreUnavailable):
        await OPERATIONS[name](store)
    store.available = True
    assert await everything(store) == before


@pytest.mark.parametrize("name", OPERATIONS)
async def test_it_works_again_once_it_is_switched_on(store: MemoryStore, name: str):
    store.available = False
    store.available = True
    if name in {"runs.reopen_run", "runs.answer_again", "threads.add_messages"}:
        await store.execution_store.finish(RunEnd(RUN, 1, Outcome(RunStatus.FAILED), Content(), NOW))
    if name == "calls.answer_calls":
        asked = Content((Part(PartKind.TEXT), call_part("call_1", "find", "{}")))
        usage = Usage(1, 1, 2, UsageSource.ESTIMATED)
        await store.execution_store.finish(
            RunEnd(RUN, 1, Outcome(RunStatus.COMPLETED, "tool_calls", usage), asked, NOW)
        )
    await OPERATIONS[name](store)


async def test_metadata_is_kept_as_it_was_whatever_its_sender_does_to_it(store: MemoryStore):
    metadata: dict[str, Any] = {"tags": ["a"]}
    await store.runs.open_run(*opening("2", **metadata))
    await store.threads.update_thread(ANN, THREAD, ThreadChange(metadata=metadata), NOW)
    metadata["tags"].append("b")

    page = await store.threads.list_messages(ANN, ThreadId("thr_2"), PAGE)
    assert page.items[0].metadata == {"tags": ["a"]}
    assert (await store.threads.read_thread(ANN, THREAD)).metadata == {"tags": ["a"]}


async def test_interactions_come_in_the_order_of_their_ends(store: MemoryStore):
    await store.runs.open_run(*opening("2"))
    for number in ("2", "1"):
        await store.execution_store.finish(RunEnd(RunId(f"run_{number}"), 1, Outcome(RunStatus.FAILED), Content(), NOW))
    assert [interaction.run_id for interaction in store.interactions()] == ["run_2", "run_1"]


async def test_two_stores_share_nothing():
    one, other = MemoryStore(), MemoryStore()
    await one.users.add(USER)
    assert await other.users.list_all() == []
