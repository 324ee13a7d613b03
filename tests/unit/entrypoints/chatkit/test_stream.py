"""How ChatKit's events go out: signs of life, a fault in the middle, and no event that is not JSON."""

import json
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

import chatorch.entrypoints.chatkit  # noqa: F401  # the package, without its warnings
from chatorch.domain.model.conversation import MessageId, ThreadId
from chatorch.entrypoints.chatkit.frames import AnswerFrames
from chatorch.entrypoints.chatkit.stream import SILENT_FRAME, ChatKitStream
from tests.support.logged import logged
from tests.support.widget import EVENTS, events_in

FRAMES = AnswerFrames(MessageId("msg_%s"), ThreadId("thr_1"), datetime(2026, 1, 2, tzinfo=UTC))
TEXTS = ["", "plain", "%s %b %%", '"quoted" \\ |', "line\nline\r\u2028", "😀 ü \x7f", "</script>"]


class Server:
    run = None
    head = (b"data: head\n\n",)

    def __init__(self, rest: AsyncGenerator[bytes]) -> None:
        self.rest = rest
        self.left = 0

    async def leave(self) -> None:
        self.left += 1


class Services:
    counted = staticmethod(nullcontext)


async def sent(*frames: bytes | Exception, ping_after_s: float) -> tuple[str, Server]:
    async def rest() -> AsyncGenerator[bytes]:
        for frame in frames:
            if isinstance(frame, Exception):
                raise frame
            yield frame

    server, body = Server(rest()), b""

    async def send(message: dict[str, Any]) -> None:
        nonlocal body
        body += message.get("body", b"")

    stream = ChatKitStream(Services(), server, ping_after_s=ping_after_s)  # type: ignore[arg-type]
    await stream.pump(send)
    return body.decode(), server


async def test_silence_is_a_comment_where_it_has_lasted_long_enough():
    assert (await sent(SILENT_FRAME, b"data: 1\n\n", ping_after_s=0))[0] == "data: head\n\n: ping\n\ndata: 1\n\n"
    assert (await sent(SILENT_FRAME, b"data: 1\n\n", ping_after_s=9))[0] == "data: head\n\ndata: 1\n\n"


async def test_a_fault_in_the_middle_becomes_an_event_and_its_text_stays_out_of_the_log():
    with logged() as lines:
        body, server = await sent(b"data: 1\n\n", RuntimeError("a secret text"), ping_after_s=9)
    error = EVENTS.validate_json(body.split("\n\n")[2].removeprefix("data: "))
    assert (error.type, error.code, error.allow_retry) == ("error", "stream.error", True)
    assert server.left == 1
    assert [line["event"] for line in lines.lines] == ["chatkit_failed"]
    assert "secret" not in lines.text


@pytest.mark.parametrize("text", TEXTS)
def test_every_frame_is_an_event_of_the_package_with_exactly_this_text(text: str):
    contents = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    frames = [*FRAMES.begin(), FRAMES.delta(text, 0), FRAMES.replaced(contents), *FRAMES.end(contents)]
    assert all(b"\n" not in frame.data for frame in frames)
    added, part, delta, replaced, part_done, done = events_in(
        "".join(f"data: {frame.data.decode()}\n\n" for frame in frames)
    )
    assert (added.item.id, part.item_id, delta.item_id) == ("msg_%s",) * 3
    assert (delta.update.delta, replaced.item.content[0].text, part_done.update.content.text) == (text,) * 3
    assert [part.text for part in done.item.content] == ([text] if text else [])
    assert json.loads(frames[0].data)["item"]["created_at"] == "2026-01-02T00:00:00Z"
