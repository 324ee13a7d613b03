"""WebSocket clients that send little and cost much: compressed bombs, and pings whose answers they do not read."""

import zlib
from collections.abc import Callable
from functools import cache

import httpx
import pytest

from tests.support.api import Api
from tests.support.logged import logged
from tests.support.raw_ws import CONTINUATION, PING, TEXT, RawDevice, frame
from tests.support.ws import served, token_of

COMPRESSED = 0x40
"""The first reserved bit (RFC 7692, 6)."""
OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate"}
LARGE = 64 * 1024
MIB = 2**20


def deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, wbits=-15)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def in_fragments(data: bytes, count: int) -> bytes:
    size = -(-len(data) // count)
    first, *others = [data[start : start + size] for start in range(0, len(data), size)]
    last = others.pop()
    return b"".join(
        [
            frame(TEXT, first, fin=False, reserved=COMPRESSED),
            *(frame(CONTINUATION, piece, fin=False) for piece in others),
            frame(CONTINUATION, last),
        ]
    )


@cache
def sixty_mib() -> bytes:
    """Not before a test wants it: each process of the tests loads this file."""
    return deflated(b"x" * 60 * MIB)


BOMBS: dict[str, tuple[Callable[[], bytes], int]] = {
    "one frame": (lambda: frame(TEXT, sixty_mib(), reserved=COMPRESSED), 1009),
    "a byte too much": (lambda: frame(TEXT, deflated(b"x" * (LARGE + 1)), reserved=COMPRESSED), 1009),
    "fragments": (lambda: in_fragments(sixty_mib(), 100), 1009),
    "many small ones": (lambda: frame(TEXT, deflated(b"x" * LARGE), reserved=COMPRESSED) * 200, 4429),
    "a compressed ping": (lambda: frame(PING, deflated(b"x" * 1000), reserved=COMPRESSED), 1002),
    "nonsense": (lambda: frame(TEXT, b"\xff" * 100, reserved=COMPRESSED), 1002),
}


@pytest.mark.parametrize("kind", BOMBS)
async def test_a_bomb_is_refused_before_it_is_large(api: Api, alice: httpx.AsyncClient, kind: str) -> None:
    bomb, code = BOMBS[kind]
    async with served(api, ws_per_message_deflate=True) as door:
        async with RawDevice.connecting(door.port, token_of(alice), **OFFER) as device:
            assert "permessage-deflate" in device.head
            device.send(bomb())
            assert await device.ended() == code
        assert (await (await door.connect("other", token_of(alice))).ask("ping"))["type"] == "pong"


async def test_without_the_setting_nothing_is_compressed(api: Api, alice: httpx.AsyncClient) -> None:
    async with served(api) as door, RawDevice.connecting(door.port, token_of(alice), **OFFER) as device:
        assert "permessage-deflate" not in device.head
        device.send(BOMBS["one frame"][0]())
        assert await device.ended() == 1002


@pytest.mark.parametrize("signed_in", [True, False])
async def test_who_reads_no_pongs_is_too_slow_and_told_so_when_it_reads(
    api: Api, alice: httpx.AsyncClient, signed_in: bool
) -> None:
    token = token_of(alice) if signed_in else ""
    with logged() as out:
        async with (
            served(api, kernel_bytes=4096) as door,
            RawDevice.connecting(door.port, token, takes=4096) as device,
        ):
            device.reader._transport.pause_reading()
            device.send(frame(PING, b"x" * 125) * 900)
            while not out.named("websocket"):
                await device.writer.drain()
                await (await door.connect("other", token_of(alice))).ask("ping")
            device.reader._transport.resume_reading()
            assert await device.ended() == 4408
    assert out.named("websocket")[0]["code"] == 4408
    assert len(device.frames) < 900, "and of those that came too late none was answered"
