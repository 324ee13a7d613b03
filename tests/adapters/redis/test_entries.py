"""What a worker of the release before makes of entries: it knows no parts, and must take no text for all there is."""

from typing import Any

import msgspec
import pytest

from chatorch.adapters.memory.run_log import MemoryRunLog
from chatorch.adapters.redis.entries import LAST_SEQ, Entry, Fact, Head, decode_entry, encode, entry_of
from chatorch.adapters.redis.log_publisher import LogPublisher
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import RunInterrupted, RunStarted

THOUGHT: tuple[Fact, ...] = (Head("reasoning", {}), "hm", Head("", {}))


class EntryBefore(msgspec.Struct, array_like=True, gc=False):
    epoch: int
    begins: int
    text: str = ""
    kind: str = ""
    terminal: bytes = b""
    gone: bool = False


def before(entry: Entry) -> EntryBefore:
    return msgspec.msgpack.decode(encode(entry), type=EntryBefore)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(THOUGHT, id="a part"),
        pytest.param(("so", *THOUGHT), id="a part behind text"),
        pytest.param(("more",), id="more of a part that began earlier"),
    ],
)
@pytest.mark.parametrize("terminal", [None, RunInterrupted(9)])
def test_where_a_message_has_parts_it_reads_the_row(told: tuple[Fact, ...], terminal: Any):
    entry = entry_of(1, 3, told, terminal, parted=True)
    assert before(entry).gone
    again = decode_entry(encode(entry))
    assert again == entry
    assert not again.over, "ours goes on by the entry"


def test_of_a_text_it_is_told_as_ever():
    assert before(entry_of(1, 3, ("so",), None)) == EntryBefore(1, 3, "so")


def test_where_only_the_row_knows_both_read_it():
    fenced = Entry(2, LAST_SEQ, gone=True)
    assert fenced.over
    assert before(fenced).gone


def test_what_it_tells_is_understood():
    assert decode_entry(encode(EntryBefore(1, 3, "so"))) == Entry(1, 3, "so")
    assert decode_entry(encode(EntryBefore(2, LAST_SEQ, gone=True))).over


class Shipped:
    """Redis, as far as it is told."""

    prefix = ""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def on_return(self, come: object) -> None: ...

    async def ask(self, command: tuple[Any, ...]) -> list[list[int]]:
        self.entries.append([each for each in command if isinstance(each, bytes)][2])
        return [[1]]


async def test_from_its_first_part_on_a_run_is_read_from_its_row():
    run, link, local = RunId("run_1"), Shipped(), MemoryRunLog()
    publisher = LogPublisher(link, local)  # type: ignore[arg-type]
    started = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "toy")
    local.open(run, 1, started)
    publisher.open(run, 1, started)
    await publisher.publish()
    publisher.append(run, "a")
    await publisher.publish()
    publisher.start_part(run, PartKind.TEXT, {})
    await publisher.publish()
    publisher.append(run, "b")
    await publisher.publish()
    told = [msgspec.msgpack.decode(entry, type=EntryBefore).gone for entry in link.entries]
    assert told == [False, False, True, True]
