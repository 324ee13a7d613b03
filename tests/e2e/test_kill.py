"""`kill -9` in the middle of everything: what was acknowledged is there, and every run has ended."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import NewServer, Record
from tests.support.event_reader import Screen
from tests.support.eventually import eventually
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, all_ended, batches, calling
from tests.support.upstream import Upstream, text

AGE_S = 1.5
"""How old saved text may be: a checkpoint starts a second after the last one ended, and takes its time."""
EVERY_S = 0.05


async def test_a_killed_process_loses_nothing_acknowledged_and_leaves_no_run_alive(
    new_server: NewServer, upstream: Upstream, record_property: Record
):
    count = size(40, 200)
    model = upstream.model(text(*(f"{i:04} " for i in range(2000)), every=EVERY_S * max(count / 100, 1)))
    chance = random.Random(3)
    threads: list[str] = []
    oldest_lost: list[float] = []
    async with serving(await new_server(continue_within_s=0)) as server:
        for _ in range(size(2, 20)):
            async with calling(server) as alice:
                load = Load(alice, model)
                await load.run_until_killed(server, threads or [None] * count, pieces=chance.randint(40, 50))
                await server.start()
                await load.check_streams()
                await load.check_answers()
                oldest_lost.append(max(load.lost_s))
                assert alive_and_well(server.folder / "chat.db")
                threads = [stream.events[0]["thread_id"] for stream in load.streams]
    record_property("oldest_text_lost_s", max(oldest_lost))
    assert max(oldest_lost) <= AGE_S


async def test_a_command_that_comes_and_goes_beside_the_server_takes_nothing_from_it(new_server: NewServer):
    async with serving(await new_server()) as server, calling(server) as alice:
        before = await (await alice.say("Before", model="mock-3-0", stream=False)).ended()
        await alice.run(before.json["run_id"])  # so that readers are connected as well
        listed = await asyncio.to_thread(server.command, "users", "list")
        assert "alice" in listed.stdout, listed.stderr
        assert (server.folder / "chat.db-wal").exists()
        after = await (await alice.say("After", model="mock-3-0", stream=False)).ended()
        await server.kill()
        await server.start()
        for answer in (before, after):
            assert (await alice.run(answer.json["run_id"]))["text"] == answer.json["response"]


@dataclass
class Load:
    """Streams that would go on for ever, and a few callers that wait for short answers, one after the other."""

    caller: Caller
    model: str
    streams: list[Exchange] = field(default_factory=list)
    answers: list[Exchange] = field(default_factory=list)
    killed_at: float = 0.0
    lost_s: list[float] = field(default_factory=list)

    async def run_until_killed(self, server: Server, threads: Sequence[str | None], pieces: int) -> None:
        """In these threads, until the last stream has shown so many pieces."""
        for some in batches(threads, 20):
            started = [await self.caller.say("More?", model=self.model, thread_id=thread) for thread in some]
            await asyncio.gather(*(stream.until(lambda s: s.events) for stream in started))
            self.streams += started
        await self.streams[-1].until(lambda s: len(s.events) > pieces - 5, 30)
        chatting = asyncio.gather(*(self._chat(i) for i in range(4)))
        await self.streams[-1].until(lambda s: len(s.events) > pieces)
        await eventually(self._answered, within=30)
        self.killed_at = time.monotonic()
        await server.kill()
        await all_ended(self.streams)
        await chatting

    async def _answered(self) -> bool:
        return bool(self.answers)

    async def _chat(self, writer: int) -> None:
        number = 0
        with suppress(OSError):
            while True:
                number += 1
                answer = await self.caller.say(f"{writer}: {number}", model="mock-3-0", stream=False)
                await answer.ended()
                if not answer.complete:
                    return
                assert answer.status == 200, answer.body
                self.answers.append(answer)

    async def check_streams(self) -> None:
        for some in batches(self.streams, 20):
            await asyncio.gather(*(self._check_stream(stream) for stream in some))

    async def _check_stream(self, stream: Exchange) -> None:
        screen = Screen()
        screen.show(stream.events)
        shown_before = screen.text
        back = await (await self.caller.follow(stream.run_id, screen.position)).ended(3)  # not only after the lease
        screen.show(back.events)
        stored = await self.caller.run(stream.run_id)
        assert stored["status"] == "interrupted"
        assert [end["type"] for end in screen.terminals] == ["run.interrupted"]
        assert screen.text == stored["text"]
        assert screen.snapshots == (len(shown_before) > len(stored["text"]))
        assert stored["text"]
        self.lost_s.append(self.killed_at - stream.first_seen_after(len(stored["text"])))
        *_, question, answer = await self.caller.messages(stream.events[0]["thread_id"])
        assert (question["role"], question["content"]) == ("user", "More?")
        assert (answer["content"], answer["status"], answer["run_id"]) == (stored["text"], "incomplete", stream.run_id)
        again = await (await self.caller.follow(stream.run_id, screen.position)).ended()
        assert again.status == 204

    async def check_answers(self) -> None:
        """They are all there; the last one is told from the store, from any position."""
        assert self.answers
        for some in batches(self.answers, 20):
            stored = await asyncio.gather(*(self.caller.run(answer.json["run_id"]) for answer in some))
            assert {run["status"] for run in stored} == {"completed"}
            assert [run["text"] for run in stored] == [answer.json["response"] for answer in some]
        run_id, told = stored[-1]["id"], stored[-1]["text"]
        for position in range(1, len(told) + 3):
            again = await (await self.caller.follow(run_id, position)).ended()
            assert again.text == told[position - 1 :]
            assert [end["type"] for end in again.terminals] == ["run.completed"] * (position < len(told) + 2)


def alive_and_well(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        [(integrity,)] = connection.execute("PRAGMA integrity_check")
        [(live,)] = connection.execute("SELECT count(*) FROM runs WHERE status IN ('queued', 'streaming')")
        [(streaming,)] = connection.execute("SELECT count(*) FROM messages WHERE status = 'streaming'")
    return (integrity, live, streaming) == ("ok", 0, 0)
