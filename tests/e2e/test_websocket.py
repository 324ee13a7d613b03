"""WebSockets of the real process: slow ones among many, all coming back at once, its end, and users who are out."""

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.adapters.sql import SqlUserStore, open_database
from chatorch.domain.model.identity import User, UserId
from chatorch.entrypoints.common.websocket.wire import UNREAD_S
from chatorch.ports.tokens import Claims
from tests.e2e.conftest import NewServer, Record
from tests.support.accounts import SCOPES
from tests.support.canaries import Canaries
from tests.support.event_reader import Screen
from tests.support.eventually import eventually
from tests.support.raw_ws import TEXT, RawDevice, text
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import batches
from tests.support.upstream import Upstream, done, finish, hang, pause, tokens, usage
from tests.support.upstream import text as says
from tests.support.ws import Device, Door, doors_of

CROWD = 20


async def test_a_run_is_begun_by_websocket_and_told_to_its_end(server: Server, upstream: Upstream):
    model = upstream.model(says("Grüße, ", "Welt 😀!"), finish(), usage(), done())
    async with doors_of(server.port) as door:
        phone = await door.connect(token=server.tokens["alice"])
        ack = await phone.ask("chat.send", content="Hi", model=model)
        screen = await phone.run_ended(ack["run_id"])
        assert (screen.text, screen.terminals[0]["finish_reason"]) == ("Grüße, Welt 😀!", "stop")


# -- the slow one ------------------------------------------------------------------------------------------------------


async def test_one_that_reads_too_slowly_is_closed_and_catches_up_and_the_others_do_not_notice(
    new_server: NewServer, upstream: Upstream, record_property: Record
):
    """The same load twice: once somebody reads the large runs as they come, once nobody does.

    Ten at once, since only small pieces are queued: a run told in large ones, as after a stall, waits for its reader.
    """
    pieces = [f"{number:06}" + "😀" * 994 for number in range(size(130, 200))]  # 4,000 bytes each
    model = upstream.model(says(*pieces, every=0.04), finish(), usage(), done())
    quiet = upstream.model(tokens(size(40, 80), every=0.1), finish(), usage(), done())
    async with serving(await new_server(max_answer_chars=10_000_000)) as server, doors_of(server.port) as door:
        token, people = server.tokens["alice"], await crowd(server, CROWD)
        reader = await door.connect("reader", token)
        told, before = await asyncio.gather(ten_runs(reader, model), gaps(door, people, quiet, size(40, 500)))
        assert told == ["".join(pieces)] * 10
        reader.connection.transport.abort()

        slow = await RawDevice.connect(server.port, token, "slow", takes=4096)
        ask = {"type": "chat.send", "content": "Hi", "model": model}
        slow.send(*(text(json.dumps({**ask, "id": f"slow-{number}"})) for number in range(10)))
        beside = await gaps(door, people, quiet, size(40, 500))
        record_property("p99_gap_ms_beside_a_quick_one", before * 1000)
        record_property("p99_gap_ms_beside_a_slow_one", beside * 1000)
        assert beside <= 2 * before

        async def way_out() -> dict | None:
            return next((record for record in server.records if record.get("code") == 4408), None)

        out = await eventually(way_out, within=30)
        assert out["duration_ms"] < UNREAD_S * 1000, "not because of what is queued, but of the time"
        # At full size it reads on so late that the server has given up on telling it.
        assert await slow.ended() in ({4408} if size(1, 0) else {4408, None})
        async for screen in caught_up(await door.connect("slow", token), slow):
            assert screen.text == "".join(pieces)
            assert screen.terminals[0]["type"] == "run.completed"
        assert server.errors == []


async def caught_up(again: Device, slow: RawDevice) -> AsyncIterator[Screen]:
    """The ten runs that the slow one began and saw no end of, each followed to it."""
    frames = [json.loads(payload) for opcode, payload in slow.frames if opcode == TEXT]
    run_ids = [frame["run_id"] for frame in frames if frame["type"] == "ack"]
    assert len(run_ids) == 10
    for run_id in run_ids:
        screen = Screen()
        screen.show([event for event in frames if event.get("run_id") == run_id and "seq" in event])
        assert not screen.terminals
        await again.ask("run.follow", run_id=run_id, after=screen.position)
        yield await again.run_ended(run_id, 60, screen)


async def ten_runs(device: Device, model: str) -> list[str]:
    """What is told of ten runs that it begins at once."""
    acks = [await device.ask("chat.send", content="Hi", model=model) for _ in range(10)]
    return [(await device.run_ended(ack["run_id"], 60)).text for ack in acks]


async def gaps(door: Door, tokens: list[str], model: str, count: int) -> float:
    """The p99 of the time between two events, over so many devices that follow the run of their user."""
    found: list[float] = []

    async def listen(device: Device, run_id: str) -> None:
        await device.send("run.follow", id="f", run_id=run_id)
        before = None
        while True:
            frame = await device.until(lambda f: f.get("run_id") == run_id and "seq" in f, 30)
            if frame["type"] == "run.completed":
                return
            now = time.monotonic()
            if before is not None:
                found.append(now - before)
            before = now

    groups = [[await door.connect(f"quick-{n}", token) for n in range(count // len(tokens))] for token in tokens]
    following = []
    for first, *more in groups:
        run_id = (await first.ask("chat.send", content="Hi", model=model))["run_id"]
        following += [asyncio.ensure_future(listen(device, run_id)) for device in (first, *more)]
    await asyncio.gather(*following)
    for device in (device for group in groups for device in group):
        device.connection.transport.abort()
    return sorted(found)[int(len(found) * 0.99)]


async def crowd(server: Server, count: int) -> list[str]:
    """The tokens of so many new users. Those of one user would all hear of each other's coming and going."""
    now = datetime.now(UTC)
    signer = JwtTokens(server.settings["SECRET_KEY"], issuer="chatorch", audience="chatorch")
    database = open_database(server.settings["DATABASE_URL"])
    try:
        for number in range(count):
            user = User(UserId(f"usr_{number}"), f"user{number}", "no hash", SCOPES, False, now, now)
            await SqlUserStore(database).add(user)
    finally:
        await database.close()
    return [
        signer.issue(Claims(UserId(f"usr_{number}"), SCOPES, "tok_1", now, now + timedelta(days=1)))
        for number in range(count)
    ]


# -- all at once -------------------------------------------------------------------------------------------------------


async def test_so_many_come_back_within_two_seconds_and_all_see_the_whole_text(
    new_server: NewServer, upstream: Upstream, record_property: Record
):
    count = size(100, 1000)
    model = upstream.model(tokens(300, every=0.01), pause("back"), says("the end"), finish(), usage(), done())
    whole = "".join(f" tok{i}" for i in range(300)) + "the end"
    said = len(whole) - len("the end")
    chance = random.Random(1)
    async with serving(await new_server()) as server, doors_of(server.port) as door:
        begun = []
        for token in await crowd(server, CROWD):
            starter = await door.connect("starter", token)
            begun.append((token, (await starter.ask("chat.send", content="Hi", model=model))["run_id"]))
            await starter.connection.close()
        clients = [(f"device-{n}", *begun[n % CROWD], Screen()) for n in range(count)]

        async def come(name: str, token: str, run_id: str, screen: Screen, events: int) -> None:
            device = await door.connect(name, token, open_timeout=30)
            await device.send("run.follow", id="f", run_id=run_id, after=screen.position)
            for _ in range(events):
                await device.until(lambda f: f.get("run_id") == run_id and f.get("seq", 0) > 0, 30)
                if device.frames[-1]["type"] == "run.completed" or (events < 100 and device.frames[-1]["seq"] > said):
                    break
            events_seen = [f for f in device.frames if f.get("run_id") == run_id and "seq" in f]
            screen.show([f for f in events_seen if f["type"] != "run.started" or screen.position == 0])
            device.connection.transport.abort()

        for some in batches(clients, 100):
            await asyncio.gather(*(come(*client, chance.randint(1, 20)) for client in some))
        began_at = time.monotonic()
        coming = [asyncio.ensure_future(come(*client, 100_000)) for client in clients]
        upstream.release("back")
        await asyncio.gather(*coming)
        record_property("all_back_and_done_s", time.monotonic() - began_at)
        assert {screen.text for *_, screen in clients} == {whole}
        assert {screen.terminals[0]["type"] for *_, screen in clients} == {"run.completed"}
        assert server.errors == []


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_sigterm_refuses_what_is_new_tells_every_run_its_end_then_closes_1012(
    new_server: NewServer, upstream: Upstream
):
    short = upstream.model(says("half "), pause("sockets drain"), says("done"), finish(), usage(), done())
    endless = upstream.model(says("half "), hang())
    limit_s, count = 1.0, size(10, 100)
    async with serving(await new_server(drain_limit_s=limit_s)) as server, doors_of(server.port) as door:
        token = server.tokens["alice"]
        busy = [await door.connect(f"busy-{n}", token) for n in range(count)]
        idle = [await door.connect(f"idle-{n}", token) for n in range(count)]
        ids: list[list[str]] = []
        for device in busy:
            acks = [await device.ask("chat.send", content="Hi", model=model) for model in (short, endless)]
            ids.append([ack["run_id"] for ack in acks])
        await upstream.until(short, "paused", count)
        await upstream.until(endless, "seen", count)
        asked_at = time.monotonic()
        server.send_signal(signal.SIGTERM)

        async def draining() -> bool:
            return '"event":"draining"' in server.log

        await eventually(draining)
        refused = await idle[0].ask("chat.send", content="Hi", model=short)
        assert (refused["type"], refused["code"]) == ("error", "draining")
        upstream.release("sockets drain")
        codes = await asyncio.gather(*(device.close_code(limit_s + 2) for device in [*busy, *idle]))
        assert set(codes) == {1012}
        await server.exited()
        assert limit_s <= time.monotonic() - asked_at <= limit_s + 2
        for device, (done_id, cut_id) in zip(busy, ids, strict=True):
            assert (device.screen(done_id).text, device.screen(cut_id).text) == ("half done", "half ")
            assert device.screen(done_id).terminals[0]["type"] == "run.completed"
            [end] = device.screen(cut_id).terminals
            assert (end["type"], end["reason"]) == ("run.cancelled", "shutdown")
        assert server.errors == []


async def test_idle_connections_and_one_that_does_not_read_do_not_delay_the_exit(new_server: NewServer):
    async with serving(await new_server()) as server, doors_of(server.port) as door:
        idle = [await door.connect(f"idle-{n}", server.tokens["alice"]) for n in range(20)]
        silent = await RawDevice.connect(server.port, server.tokens["alice"], takes=4096)
        nobody = await door.connect("nobody")
        asked_at = time.monotonic()
        server.send_signal(signal.SIGTERM)
        told = {(await device.close_code(), device.connection.close_reason) for device in [*idle, nobody]}
        assert told == {(1012, "restarting: connect again")}
        await server.exited()
        assert time.monotonic() - asked_at < 2
        silent.leave()
        assert server.errors == []


# -- whose time is over ------------------------------------------------------------------------------------------------


async def test_a_user_who_is_disabled_is_out_within_5_s(new_server: NewServer, record_property: Record):
    async with serving(await new_server()) as server, doors_of(server.port) as door:
        phone = await door.connect(token=server.tokens["alice"])
        await phone.ask("ping")
        await asyncio.to_thread(server.command, "users", "disable", "alice")
        asked_at = time.monotonic()
        assert await phone.close_code() == 4401
        record_property("out_after_s", took := time.monotonic() - asked_at)
        assert took < 5
        assert await (await door.connect(token=server.tokens["alice"])).close_code() == 4401


async def test_a_token_that_runs_out_and_one_that_never_comes_are_told_4401(new_server: NewServer):
    async with serving(await new_server(ws_auth_deadline_s=0.5)) as server, doors_of(server.port) as door:
        signer = JwtTokens(server.settings["SECRET_KEY"], issuer="chatorch", audience="chatorch")
        claims = signer.claims_of(server.tokens["alice"], datetime.now(UTC))
        short = signer.issue(type(claims)(
            claims.user_id, claims.scopes, "tok_2", claims.issued_at, datetime.now(UTC) + timedelta(seconds=1)
        ))  # fmt: skip
        began_at = time.monotonic()
        phone, nobody = await door.connect(token=short), await door.connect("nobody")
        assert await nobody.close_code() == 4401
        assert time.monotonic() - began_at < 1
        assert await phone.close_code(within=6) == 4401
        assert time.monotonic() - began_at < 1 + 5


async def test_no_token_and_no_message_comes_into_the_log_of_a_talkative_server(
    new_server: NewServer, upstream: Upstream
):
    canaries = Canaries()
    server = await new_server(log_level="debug")
    async with serving(server), doors_of(server.port) as door:
        token = server.tokens["alice"]
        for query in (f"?token={canaries['query']}", f"?access_token={token}"):
            phone = await door.connect(query=query)
            await phone.send("auth", id=canaries["frame id"], token=canaries["frame token"])
            assert await phone.close_code() == 4401
        phone = await door.connect(subprotocols=["chatorch.v1", f"bearer.{canaries['sub-protocol']}"])
        assert await phone.close_code() == 4401
        phone = await door.connect(token=token, headers={"Cookie": canaries["cookie"], "X-Request-ID": "\x9b31m"})
        await phone.send(canaries["type"], **{canaries["field"]: 1})
        ack = await phone.ask("chat.send", content=canaries["message"], model=upstream.model(says(canaries["answer"])))
        await phone.run_ended(ack["run_id"])
        await phone.connection.close(4000, canaries["reason"])
        raw = await RawDevice.connect(server.port, token)
        raw.send(b"\x81\x84\0\0\0\0\xff\xfe\xfd\xfc")
        assert await raw.ended() == 1007
        raw.leave()
    assert canaries.found_in(server.log) == []
    assert token not in server.log
    assert token.rpartition(".")[2] not in server.log
    assert server.errors == []
    assert "Traceback" not in server.log
    assert len([line for line in server.log.splitlines() if '"event":"websocket"' in line]) == 5
