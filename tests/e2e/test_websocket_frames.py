"""Frames that no client library would send: each is told what RFC 6455 says, and none is a fault of the server's."""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from email import message_from_string
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import NewServer, Record
from tests.support.raw_ws import BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, RawDevice, close, frame, text
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import batches
from tests.support.upstream import Upstream, done, finish, usage
from tests.support.upstream import text as says
from tests.support.ws import doors_of

PING_TEXT = '{"type":"ping","id":"p"}'
LARGE = 64 * 1024

BROKEN: dict[str, tuple[bytes, int]] = {
    **{f"opcode {opcode:#x}": (frame(opcode, b"x"), 1002) for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)},
    **{f"reserved bits {bits:#x}": (frame(TEXT, b"{}", reserved=bits), 1002) for bits in (0x40, 0x20, 0x10, 0x70)},
    "reserved bits of a ping": (frame(PING, b"", reserved=0x40), 1002),
    "unmasked": (frame(TEXT, b"{}", masked=False), 1002),
    "unmasked ping": (frame(PING, masked=False), 1002),
    "fragmented ping": (frame(PING, b"a", fin=False), 1002),
    "fragmented close": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "long close": (close(1000, b"x" * 124), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "text within a text": (frame(TEXT, b"{", fin=False) + text("}"), 1002),
    "binary within a text": (frame(TEXT, b"{", fin=False) + frame(BINARY, b"}"), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{f"close {code}": (close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)},
    "close whose reason is not UTF-8": (close(1000, b"\xff\xfe"), 1007),
    "text that is not UTF-8": (frame(TEXT, b'{"type":"\xff"}'), 1007),
    "text cut within a character": (frame(TEXT, '"€'.encode()[:-1]), 1007),
    "a surrogate in UTF-8": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "overlong UTF-8": (frame(TEXT, b'"\xc0\xaf"'), 1007),
    "pieces that are not UTF-8": (frame(TEXT, b'"\xe2\x82', fin=False) + frame(CONTINUATION, b'"'), 1007),
    "not UTF-8, then a close": (frame(TEXT, b"\xff") + close(1000), 1000),
    "binary": (frame(BINARY, b"{}"), 1003),
    "binary in pieces": (frame(BINARY, b"{", fin=False) + frame(CONTINUATION, b"}"), 1003),
    "too large": (frame(TEXT, b"x" * (LARGE + 1)), 1009),
    "too large in pieces": (frame(TEXT, b"x" * LARGE, fin=False) + frame(CONTINUATION, b"x"), 1009),
    "too large to be": (bytes([FIN | TEXT, 0xFF]) + (2**62).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    "a length with its highest bit": (bytes([FIN | TEXT, 0xFF]) + b"\xff" * 8 + b"\0\0\0\0", 1009),
    "too large binary": (frame(BINARY, b"x" * (LARGE + 1)), 1009),
}

FAULTS = ("none", "binary", "not UTF-8", "anything")
"""One kind a connection: what comes at once with another fault may be told the other's code."""

GOOD_CLOSES = (1000, 1001, 1003, 1007, 1011, 1012, 3000, 3999, 4000, 4999)


def token_of(server: Server) -> str:
    return server.tokens["alice"]


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_frame_is_told_the_code_of_its_fault(server: Server, what: str):
    data, code = BROKEN[what]
    device = await RawDevice.connect(server.port, token_of(server), "broken")
    device.send(data)
    assert await device.ended() == code
    device.leave()
    assert server.errors == []


async def test_a_client_that_still_sends_hears_that_it_is_too_much(server: Server):
    async with doors_of(server.port) as door:
        phone = await door.connect("large", token_of(server))
        with suppress(ConnectionClosed):
            await phone.connection.send("x" * 8_000_000)
        assert await phone.close_code() == 1009


async def test_after_a_fault_the_server_hangs_up_by_itself(server: Server):
    device = await RawDevice.connect(server.port, token_of(server), "broken")
    device.send(frame(3, b"x"))
    async with asyncio.timeout(2):
        assert (await device.receive())[0] == CLOSE
        assert await device.reader.read() == b""
    device.leave()


async def test_good_frames_are_answered_however_they_are_cut(server: Server):
    device = await RawDevice.connect(server.port, token_of(server), "cut")
    whole = PING_TEXT.encode()
    data = (
        frame(TEXT, whole[:1], fin=False)
        + frame(PING, b"between")
        + frame(CONTINUATION, b"", fin=False)
        + frame(CONTINUATION, whole[1:])
        + frame(0xA, b"a pong that nobody asked for")
    )
    for byte in data:
        device.send(bytes([byte]))
        await device.writer.drain()
    assert [await device.receive(), await device.receive()] == [(0xA, b"between"), (TEXT, b'{"type":"pong","id":"p"}')]
    device.leave()


@pytest.mark.parametrize("code", GOOD_CLOSES)
async def test_a_close_is_answered_in_kind(server: Server, code: int):
    device = await RawDevice.connect(server.port, token_of(server), "closing")
    device.send(close(code, b"so long"))
    assert await device.ended() == code
    device.leave()


async def test_a_head_that_is_too_long_is_refused_and_the_connection_closed(server: Server):
    for headers in ({"Cookie": "x" * 9000}, {f"X-{number}": "1" for number in range(200)}):
        device = await RawDevice.connect(server.port, token_of(server), "long", **headers)
        assert (device.status, (await problem_of(device))["code"]) == (431, "headers_too_large")
        device.leave()
    assert server.errors == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Version": "12"},
        {"Upgrade": "websocket, h2c"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; nonsense=\x01"},
        {"Sec-WebSocket-Protocol": "a b c"},
    ],
)
async def test_a_broken_handshake_is_refused_and_is_no_fault_of_ours(server: Server, headers: dict[str, str]):
    device = await RawDevice.connect(server.port, token_of(server), "handshake", **headers)
    assert device.status in {101, 400, 404, 426, 431}
    device.leave()
    assert server.errors == []


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Sec-WebSocket-Version": "12"}, 400, "bad_handshake"),
        ({"Sec-WebSocket-Key": "short"}, 400, "bad_handshake"),
        ({"Connection": "upgrade, close", "Upgrade": "h2c"}, 426, "upgrade_required"),
    ],
)
async def test_what_is_no_handshake_is_told_so_as_any_other_error(
    server: Server, headers: dict[str, str], status: int, code: str
):
    headers["X-Request-ID"] = "req-1"
    device = await RawDevice.connect(server.port, token_of(server), "handshake", **headers)
    body = await problem_of(device)
    assert (device.status, body["status"], body["code"], body["request_id"]) == (status, status, code, "req-1")
    assert ("sec-websocket-version: 13" in device.head.lower()) == (status in {400, 426})
    device.leave()


async def problem_of(device: RawDevice) -> dict[str, Any]:
    """The body of what was answered in place of an upgrade."""
    headers = message_from_string(device.head.partition("\r\n")[2])
    assert headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(await device.reader.readexactly(int(headers["content-length"] or 0)))
    assert headers["x-request-id"] == body["request_id"]
    return body


# -- compressed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [True, False])
async def test_messages_are_compressed_for_who_offers_it_where_the_operator_wants_it(
    new_server: NewServer, upstream: Upstream, wanted: bool
):
    said = "over and over " * 2000
    model = upstream.model(says(said), finish(), usage(), done())
    async with serving(await new_server(ws_deflate=wanted)) as server, doors_of(server.port) as door:
        phone = await door.connect("phone", token_of(server), compression="deflate")
        assert phone.connection.response is not None
        assert ("permessage-deflate" in str(phone.connection.response.headers)) == wanted
        ack = await phone.ask("chat.send", content="again and again " * 100, model=model)
        assert (await phone.run_ended(ack["run_id"])).text == said
        plain = await door.connect("plain", token_of(server), compression=None)
        assert plain.connection.protocol.extensions == []
        await plain.ask("run.follow", run_id=ack["run_id"])
        assert (await plain.run_ended(ack["run_id"])).text == said
        assert server.errors == []


# -- generated ---------------------------------------------------------------------------------------------------------


async def test_whatever_is_sent_the_server_has_no_error(server: Server, record_property: Record):
    """Frames made of good parts and bad ones; on each connection until it is closed, or the flood limit is near."""
    chance = random.Random(20)
    count, sent, codes = size(500, 10_000), 0, Counter[str]()
    while sent < count:
        seeds = [chance.random() for _ in range(20)]
        for some in batches(seeds, 20):
            told = await asyncio.gather(*(one_life(server, n, random.Random(seed)) for n, seed in enumerate(some)))
            sent += sum(frames for frames, _ in told)
            codes.update(str(code) for _, code in told)
    record_property("frames", sent)
    record_property("closed_with", dict(codes))
    assert set(codes) <= {"1000", "1002", "1003", "1007", "1009", "4401", "4403", "4429"}
    assert {"1000", "1002", "1003", "1007"} <= set(codes)
    assert server.errors == []


async def one_life(server: Server, number: int, chance: random.Random) -> tuple[int, int | None]:
    """How many frames were sent, and what the connection was closed with."""
    device = await RawDevice.connect(server.port, token_of(server), f"generated-{number}")
    fault = FAULTS[number % len(FAULTS)]
    data = [generated(chance, fault) for _ in range(chance.randint(1, 40))]
    listening = asyncio.ensure_future(device.ended(20))
    for piece in [*data, text('{"type":"ping","id":"the end"}')]:
        cut = chance.randint(0, len(piece))
        device.send(piece[:cut])
        if chance.random() < 0.2:
            await device.writer.drain()
        device.send(piece[cut:])
    async with asyncio.timeout(20):
        while not listening.done() and not any(b'"the end"' in payload for _, payload in device.frames):
            await asyncio.wait([listening], timeout=0.005)
    device.send(close(1000))
    code = await listening
    device.leave()
    for opcode, payload in device.frames:
        if opcode == TEXT:
            told = json.loads(payload)
            assert told["type"] in {"error", "ack", "pong", "presence"} or told["run_id"], told
            assert told.get("code") != "internal_error", told
    return len(data), code


def generated(chance: random.Random, fault: str) -> bytes:
    kind = chance.random()
    if kind < 0.80:
        return text(json.dumps(generated_object(chance), ensure_ascii=chance.random() < 0.5))
    if kind < 0.88:
        raw = bytearray(json.dumps(generated_object(chance)).encode())
        for _ in range(chance.randint(1, 3)):
            raw[chance.randrange(len(raw))] = chance.randrange(0x20, 0x7F)
        return frame(TEXT, bytes(raw))
    if kind < 0.95 or fault == "none":
        return frame(chance.choice([PING, 0xA]), chance.randbytes(chance.randint(0, 125)))
    match fault:
        case "binary":
            return frame(BINARY, chance.randbytes(chance.randint(0, 200)))
        case "not UTF-8":
            return frame(TEXT, b"\xff" + chance.randbytes(chance.randint(0, 200)))
    return frame(
        chance.randrange(16),
        chance.randbytes(chance.randint(0, 200)),
        fin=chance.random() < 0.8,
        reserved=chance.choice([0, 0, 0, 0x40, 0x10]),
        masked=chance.random() < 0.9,
    )


def generated_object(chance: random.Random) -> object:
    names = ["type", "id", "content", "messages", "thread_id", "model", "run_id", "after", "token", "other"]
    types = ["chat.send", "run.follow", "run.cancel", "ping", "auth", "nonsense", None, 7]
    weights = [8, 8, 8, 8, 1, 2, 1, 1]
    value = {name: generated_value(chance, 0) for name in names if chance.random() < 0.4}
    value["type"] = chance.choices(types, weights)[0]
    return value if chance.random() < 0.95 else generated_value(chance, 0)


def generated_value(chance: random.Random, depth: int) -> object:
    match chance.randrange(9 if depth < 3 else 7):
        case 0:
            return chance.choice([0, -1, 1, 2**63, 2**64, -(2**63), 10**30, 0.5])
        case 1:
            return chance.choice([None, True, False])
        case 2 | 3:
            return "".join(chr(chance.choice([0x20, 0x41, 0xE4, 0x20AC, 0x1F600, 0x0A, 0x7F])) for _ in range(5))
        case 4:
            return chance.choice(["run_1", "thr_1", "x" * 300, "", "\0", "\x1b[31m", "1"])
        case 5 | 6:
            return "abc"
        case 7:
            return [generated_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
        case _:
            roles = ["user", "assistant", "system", "nobody"]
            return {"role": chance.choice(roles), "content": generated_value(chance, depth + 1)}
