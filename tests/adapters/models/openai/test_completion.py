"""From bytes to text, over any transport and however the bytes are cut."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatorch.adapters.models.openai.completion import Completion
from chatorch.adapters.models.upstream.deadlines import Deadlines, Watch
from chatorch.adapters.models.upstream.transport import SOURCE_EXTENSION, ByteSource
from chatorch.ports.chat_model import Finish, Piece
from tests.support.chat import told

CHARACTERS = st.characters() | st.sampled_from(["\0", "\ud83d", "\ude00", "\u2028", "\n", "\r", "😀"])


def heard(reads: Sequence[bytes]) -> tuple[str, Finish]:
    async def body() -> AsyncIterator[bytes]:
        for read in reads:
            yield read

    async def listen() -> tuple[str, Finish]:
        response = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body())
        watch = Watch(Deadlines())
        completion = Completion(response, watch)
        pieces: list[Piece] = []
        while not completion.over:
            pieces += completion.feed(await completion.read())
        watch.stop()
        return told(pieces).text, await completion.finish()

    return asyncio.run(listen())


@settings(deadline=None)
@given(
    st.lists(st.text(CHARACTERS, max_size=6), max_size=8),
    st.booleans(),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.data(),
)
def test_any_cut_of_the_bytes_gives_the_same_text(
    pieces: list[str], ascii_only: bool, end: bytes, data: st.DataObject
) -> None:
    deltas = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    deltas.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events = [json.dumps(delta, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for delta in deltas]
    stream = b"".join(b"data: " + event + end + end for event in [*events, b"[DONE]"])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]
    text, finish = heard(reads)
    assert (text, finish) == heard([stream])
    assert finish == Finish("stop", None)
    text.encode()
    assert "\0" not in text
    storable = all(c not in piece for piece in pieces for c in "\0\ud83d\ude00")
    if storable and not any("\ud800" <= c <= "\udfff" for piece in pieces for c in piece):
        assert text == "".join(pieces)


class BrokenSource(ByteSource):
    """Has some bytes left, and nothing to read any more."""

    async def read(self) -> bytes:
        raise AssertionError

    def rest(self) -> bytes:
        return b"left"

    async def aclose(self) -> None:
        raise AssertionError


async def test_what_had_come_before_a_failure_counts_but_a_cancellation_comes_first() -> None:
    response = httpx2.Response(200, extensions={SOURCE_EXTENSION: BrokenSource()})
    completion = Completion(response, Watch(Deadlines()))
    assert completion.rest(ConnectionResetError()) == b"left"
    with pytest.raises(asyncio.CancelledError):
        completion.rest(asyncio.CancelledError())
