"""The package's `Store` on our services: every kind of item reads back equal, in order, and nobody else's is found."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest
from chatkit import types as kit
from chatkit import widgets as w

import chatorch.entrypoints.chatkit  # noqa: F401  # the package, without its warnings
from chatorch.adapters.system import TimeOrderedIds
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageId, NewMessage, Role, RunId, ThreadId
from chatorch.domain.model.errors import InvalidField, NotFound, ThreadBusy
from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.chatkit.store import ThreadItems
from chatorch.ports.runs import OpenTurn
from tests.support.app import Chat
from tests.support.fakes import FakeClock
from tests.support.parts import CALL, THOUGHT
from tests.support.parts import SOURCE as SOURCE_PART
from tests.support.stores import ANN, BOB, NOW, Stores, ending, new_run, turn

ALICE, BOBBY = (Principal(UserId(user), user, frozenset({Scope.CHAT})) for user in (ANN, BOB))
THREAD = "thr_t"


def store_on(stores: Stores) -> ThreadItems:
    """As each request gets one."""
    chat = Chat()
    clock = FakeClock()
    conversations = Conversations(
        store=stores.threads,
        client_refs=stores.threads,
        empty_threads=stores.threads,
        log=chat.log,
        run_control=chat.run_control,
        runs=chat.runs,
        executor=chat.executor,
        clock=clock,
    )
    items = Annotations(items=stores.thread_items, notes=stores.thread_notes, log=chat.log, clock=clock)
    return ThreadItems(conversations, items, TimeOrderedIds(), chat.runs.waited_for)


def placed(number: int) -> dict[str, Any]:
    return {"id": f"itm_{number}", "thread_id": THREAD, "created_at": NOW + timedelta(seconds=number)}


SOURCE = kit.URLSource(url="https://example.com/ü", title="A page", description=None)
WIDGET = w.Card(
    children=[
        w.Text(value="text", editable={"name": "field"}),
        w.Button(label="Go", onClickAction={"type": "go", "payload": {"null": None, "list": [1, None]}}),
    ],
    background={"dark": "#000", "light": "#fff"},
)
DYNAMIC = w.DynamicWidgetRoot.model_validate(
    {"type": "Card", "newer": None, "children": [{"type": "Table", "rows": [1, None, {"a": []}]}]}
)
KINDS: list[Any] = [
    kit.UserMessageItem(
        content=[kit.UserMessageTextContent(text="Hello")],
        attachments=[],
        inference_options=kit.InferenceOptions(),
        **placed(0),
    ),
    kit.UserMessageItem(
        content=[
            kit.UserMessageTextContent(text="Ask "),
            kit.UserMessageTagContent(id="e", text="@Ada", data={"k": [None, 1.5]}, group="People", interactive=True),
        ],
        attachments=[],
        quoted_text="a\nb",
        inference_options=kit.InferenceOptions(model="m", tool_choice=kit.ToolChoice(id="t")),
        **placed(1),
    ),
    kit.AssistantMessageItem(content=[kit.AssistantMessageContent(text="Plain")], **placed(2)),
    kit.AssistantMessageItem(
        content=[
            kit.AssistantMessageContent(text="One", annotations=[kit.Annotation(source=SOURCE, index=3)]),
            kit.AssistantMessageContent(text="Two"),
        ],
        **placed(3),
    ),
    kit.AssistantMessageItem(content=[], **placed(4)),
    kit.AssistantMessageItem(content=[kit.AssistantMessageContent(text="")], **placed(5)),
    kit.ClientToolCallItem(
        call_id="c", name="n", arguments={"a": None}, output={"b": [1]}, status="completed", **placed(6)
    ),
    kit.WidgetItem(widget=WIDGET, copy_text="copy", **placed(7)),
    kit.WidgetItem(widget=DYNAMIC, **placed(8)),
    kit.WidgetItem(widget=w.ListView(children=[w.ListViewItem(children=[w.Text(value="x")])]), **placed(9)),
    kit.GeneratedImageItem(image=kit.GeneratedImage(id="i", url="data:,"), **placed(10)),
    kit.GeneratedImageItem(image=None, **placed(11)),
    kit.StructuredInputItem(
        inputs=[
            kit.StructuredInputMultipleChoice(id="q", question="?", options=[{"value": "yes"}], multiple=True),
            kit.StructuredInputFreeform(id="f", question="?", answer={"values": ["x"], "skipped": False}),
        ],
        status="pending",
        **placed(12),
    ),
    kit.WorkflowItem(
        workflow=kit.Workflow(
            type="reasoning",
            tasks=[kit.ThoughtTask(title="T", content="c"), kit.SearchTask(title="S", sources=[SOURCE])],
            summary=kit.DurationSummary(duration=3),
            expanded=True,
        ),
        **placed(13),
    ),
    kit.TaskItem(task=kit.CustomTask(title="t", icon="sparkle", content="c", status_indicator="loading"), **placed(14)),
    kit.HiddenContextItem(content={"any": ["thing", None, 1.5]}, **placed(15)),
    kit.HiddenContextItem(content="text", **placed(16)),
    kit.SDKHiddenContextItem(content="text", **placed(17)),
    kit.EndOfTurnItem(**placed(18)),
]


async def filled(stores: Stores) -> ThreadItems:
    store = store_on(stores)
    await store.save_thread(kit.ThreadMetadata(id=THREAD, created_at=NOW, title="A thread"), ALICE)
    for item in KINDS:
        await store.add_thread_item(THREAD, item, ALICE)
    return store_on(stores)


async def test_every_kind_of_item_reads_back_equal_and_in_order(stores: Stores):
    store = await filled(stores)
    page = await store.load_thread_items(THREAD, None, 100, "asc", ALICE)

    assert not page.has_more
    assert page.data == KINDS
    assert [type(item) for item in page.data] == [type(item) for item in KINDS]
    for item in KINDS:
        assert await store.load_item(THREAD, item.id, ALICE) == item
        read = await store.load_item(THREAD, item.id, ALICE)
        assert read.model_dump_json() == item.model_dump_json()


def test_all_kinds_of_the_package_are_among_them():
    [union, _] = get_args(kit.ThreadItem)
    assert {type(item) for item in KINDS} == set(get_args(union))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 4, 18, 19, 20])
async def test_pages_go_on_behind_the_cursor_that_the_last_one_gave(stores: Stores, order: str, limit: int):
    store = await filled(stores)
    seen: list[Any] = []
    after = None
    while True:
        page = await store.load_thread_items(THREAD, after, limit, order, ALICE)
        seen += page.data
        assert (page.after is not None) == page.has_more
        if not page.has_more:
            break
        assert len(page.data) == limit
        after = page.after

    assert seen == (KINDS if order == "asc" else KINDS[::-1])


async def test_an_item_that_is_saved_again_changes_in_its_place(stores: Stores):
    store = await filled(stores)
    widget = KINDS[7].model_copy(update={"copy_text": "changed"})
    told = KINDS[3].model_copy(update={"content": [kit.AssistantMessageContent(text="Changed")]})
    for item in (widget, told):
        await store.save_item(THREAD, item, ALICE)

    page = await store.load_thread_items(THREAD, None, 100, "asc", ALICE)
    assert page.data == [*KINDS[:3], told, *KINDS[4:7], widget, *KINDS[8:]]


async def test_what_is_deleted_is_gone_and_twice_is_nothing(stores: Stores):
    store = await filled(stores)
    for _ in range(2):
        for item in KINDS[2::3]:
            await store.delete_thread_item(THREAD, item.id, ALICE)

    page = await store.load_thread_items(THREAD, None, 100, "asc", ALICE)
    assert page.data == [item for number, item in enumerate(KINDS) if number % 3 != 2]
    with pytest.raises(NotFound):
        await store.load_item(THREAD, KINDS[2].id, ALICE)


async def test_a_thread_keeps_what_only_the_package_knows_of_it(stores: Stores):
    store = await filled(stores)
    thread = await store.load_thread(THREAD, ALICE)
    assert (thread.title, thread.created_at.tzinfo, thread.status.type) == ("A thread", UTC, "active")
    thread.title = "Renamed"
    thread.status = kit.LockedStatus(reason="done")
    thread.allowed_image_domains = ["example.com"]
    thread.metadata = {"previous": {"id": None}}
    await store.save_thread(thread, ALICE)

    assert await store_on(stores).load_thread(THREAD, ALICE) == thread
    page = await store_on(stores).load_threads(10, None, "desc", ALICE)
    assert page.data == [thread]
    assert (await stores.threads.read_thread(ANN, ThreadId(THREAD))).title == "Renamed"


async def test_a_thread_is_stored_with_its_first_item_and_titled_by_it(stores: Stores):
    store = store_on(stores)
    new = kit.ThreadMetadata(id=THREAD, created_at=datetime.now())  # noqa: DTZ005  # as the package does
    await store.save_thread(new, ALICE)
    assert (await store.load_threads(10, None, "desc", ALICE)).data == []
    assert (await store.load_thread(THREAD, ALICE)).id == THREAD
    assert (await store.load_thread_items(THREAD, None, 10, "asc", ALICE)).data == []

    await store.add_thread_item(THREAD, KINDS[0], ALICE)

    [thread] = (await store.load_threads(10, None, "desc", ALICE)).data
    assert (thread.id, thread.title) == (THREAD, "Hello")


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_threads_are_paged(stores: Stores, order: str):
    store = store_on(stores)
    ids = [f"thr_{number}" for number in range(7)]
    for number, thread_id in enumerate(ids):
        await store.save_thread(kit.ThreadMetadata(id=thread_id, created_at=NOW), ALICE)
        item = kit.HiddenContextItem(content=1, **(placed(number) | {"thread_id": thread_id}))
        await store.add_thread_item(thread_id, item, ALICE)
    seen: list[str] = []
    after = None
    while True:
        page = await store.load_threads(3, after, order, ALICE)
        seen += [thread.id for thread in page.data]
        after = page.after
        if not page.has_more:
            break
    assert seen == (ids if order == "asc" else ids[::-1])


async def test_what_is_anothers_or_nobodys_is_not_found(stores: Stores):
    store = await filled(stores)
    for who, thread_id in ((BOBBY, THREAD), (ALICE, "thr_unknown"), (ALICE, "thr_\x00")):
        item = KINDS[7].model_copy(update={"id": "itm_new"})
        for asked in (
            store.load_thread(thread_id, who),
            store.load_thread_items(thread_id, None, 1, "asc", who),
            store.load_item(thread_id, KINDS[0].id, who),
            store.save_item(thread_id, item, who),
            store.add_thread_item(thread_id, item, who),
            store.delete_thread_item(thread_id, KINDS[0].id, who),
            store.delete_thread(thread_id, who),
        ):
            with pytest.raises(NotFound):
                await asked
    with pytest.raises(NotFound):
        await store.load_thread_items(THREAD, "itm_unknown", 1, "asc", ALICE)
    assert (await store.load_threads(10, None, "asc", BOBBY)).data == []
    assert (await store.load_thread_items(THREAD, None, 100, "asc", ALICE)).data == KINDS


async def test_a_message_of_a_run_is_the_runs(stores: Stores):
    store = store_on(stores)
    message = (MessageId("msg_q"), NewMessage(Role.USER, "Hi"))
    await stores.runs.open_run(new_run("r"), OpenTurn(ThreadId(THREAD), "A title", (message,)))
    forged = KINDS[2].model_copy(update={"id": "msg_r_answer"})
    await store.save_item(THREAD, forged, ALICE)
    await store.add_thread_item(THREAD, forged, ALICE)
    await store.delete_thread_item(THREAD, "msg_r_answer", ALICE)
    with pytest.raises(ThreadBusy):
        await store.add_thread_item(THREAD, KINDS[0], ALICE)
    await stores.execution_store.finish(ending("r", "The answer"))
    await store.save_item(THREAD, forged, ALICE)

    page = await store.load_thread_items(THREAD, None, 10, "asc", ALICE)
    assert [item.content[0].text for item in page.data] == ["Hi", "The answer"]
    assert (await stores.runs.read_run(ANN, RunId("run_r"))).text == "The answer"


async def test_a_deleted_thread_takes_its_items_along(stores: Stores):
    store = await filled(stores)
    await store.delete_thread(THREAD, ALICE)
    with pytest.raises(NotFound):
        await store.load_thread(THREAD, ALICE)
    await filled(stores)


async def test_ids_are_long_and_their_own(stores: Stores):
    store = store_on(stores)
    thread = kit.ThreadMetadata(id=THREAD, created_at=NOW)
    kinds = ("thread", "message", "tool_call", "task", "workflow", "attachment", "sdk_hidden_context")
    ids = [store.generate_item_id(kind, thread, ALICE) for kind in kinds for _ in range(100)]
    ids += [store.generate_thread_id(ALICE) for _ in range(100)]
    assert len(set(ids)) == len(ids)
    assert all(len(id_.partition("_")[2]) == 26 for id_ in ids)


async def test_attachments_are_refused(stores: Stores):
    store = store_on(stores)
    attachment = kit.FileAttachment(id="atc_1", name="a", mime_type="text/plain")
    for asked in (
        store.save_attachment(attachment, ALICE),
        store.load_attachment("atc_1", ALICE),
        store.delete_attachment("atc_1", ALICE),
    ):
        with pytest.raises(InvalidField):
            await asked


async def test_items_that_are_added_at_once_all_get_a_place(stores: Stores):
    await filled(stores)
    more = [KINDS[15].model_copy(update={"id": f"itm_more_{number}"}) for number in range(20)]
    await asyncio.gather(*(store_on(stores).add_thread_item(THREAD, item, ALICE) for item in more))

    page = await store_on(stores).load_thread_items(THREAD, None, 100, "asc", ALICE)
    assert page.data[: len(KINDS)] == KINDS
    assert sorted(item.id for item in page.data[len(KINDS) :]) == sorted(item.id for item in more)


# -- messages of parts -----------------------------------------------------------------------------------------------


async def with_parts(stores: Stores) -> ThreadItems:
    """Three answers: items of the message's own stand before it, behind it, and in its place."""
    told = Part(PartKind.TEXT, {}, "So.", closed=True)
    contents = {
        "a": Content((Part(PartKind.TEXT), THOUGHT, told, CALL)),
        "b": Content((Part(PartKind.TEXT, {}, "Well"), CALL, CALL)),
        "c": Content((Part(PartKind.TEXT), SOURCE_PART, THOUGHT)),
    }
    for name, content in contents.items():
        await stores.runs.open_run(new_run(name), turn(f"q_{name}", "t", opens=name == "a"))
        assert await stores.execution_store.finish(ending(name, content))
    return store_on(stores)


ITEMS = [
    *("msg_q_a_0", "msg_a_answer.1", "msg_a_answer", "msg_a_answer.3"),
    *("msg_q_b_0", "msg_b_answer", "msg_b_answer.1", "msg_b_answer.2"),
    *("msg_q_c_0", "msg_c_answer.2"),
]


async def test_pages_of_items_that_stand_for_parts_have_each_once_and_no_more_than_asked(stores: Stores):
    store = await with_parts(stores)
    for order, limit in product(("asc", "desc"), (1, 2, 3, 4, 8, 9, 10)):
        seen: list[str] = []
        after = None
        while True:
            page = await store.load_thread_items(THREAD, after, limit, order, ALICE)
            seen += [item.id for item in page.data]
            if not page.has_more:
                break
            assert len(page.data) == limit
            after = page.after
        assert seen == (ITEMS if order == "asc" else ITEMS[::-1])


async def test_a_page_goes_on_behind_any_item_that_was_shown(stores: Stores):
    store = await with_parts(stores)
    for place, item_id in enumerate(ITEMS):
        for order, expected in (("asc", ITEMS[place + 1 :]), ("desc", ITEMS[:place][::-1])):
            page = await store.load_thread_items(THREAD, item_id, 100, order, ALICE)
            assert [item.id for item in page.data] == expected
        assert (await store.load_item(THREAD, item_id, ALICE)).id == item_id
    for unknown in ("msg_a_answer.7", "msg_a_answer.x", "msg_q_a_0.1", "msg_zzz.1"):
        with pytest.raises(NotFound):
            await store.load_item(THREAD, unknown, ALICE)


async def test_what_is_shown_of_a_part_is_the_runs(stores: Stores):
    store = await with_parts(stores)
    thought = await store.load_item(THREAD, "msg_a_answer.1", ALICE)
    await store.save_item(THREAD, thought.model_copy(update={"workflow": thought.workflow}), ALICE)
    await store.delete_thread_item(THREAD, "msg_a_answer.1", ALICE)
    page = await store.load_thread_items(THREAD, None, 100, "asc", ALICE)
    assert [item.id for item in page.data] == ITEMS
