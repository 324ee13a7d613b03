"""Secrets, messages and terminal sequences stay out of logs, metrics and errors, whatever is sent and fails."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest

from tests.e2e.conftest import ServerIn
from tests.support import upstream as play
from tests.support.accounts import sign_up
from tests.support.canaries import FORGED, Canaries, Prober
from tests.support.eventually import eventually
from tests.support.postgres import Databases
from tests.support.server import Server, serving
from tests.support.upstream import Upstream

CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")
CONSOLE_LINE = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z? \[\w+ *\] ")

Execute = Callable[[str], Awaitable[None]]


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@asynccontextmanager
async def talkative(server: Server, canaries: Canaries, upstream: Upstream, log_format: str) -> AsyncIterator[Prober]:
    """The server at its most talkative, full of secrets; afterwards its log is whole."""
    server.settings |= {
        "SECRET_KEY": canaries["signing key"] * 2,
        "OPENAI_API_KEY": "sk-" + canaries["provider's key"],
        "CHATORCH_PROVIDERS": "main,local",
        "CHATORCH_PROVIDER_LOCAL_BASE_URL": f"{upstream.base_url}?key={canaries['query of another provider']}",
        "CHATORCH_PROVIDER_LOCAL_API_KEY": "sk-" + canaries["key of another provider"],
        "CHATORCH_PROVIDER_LOCAL_MODELS": "*",
        "CHATORCH_METRICS_TOKEN": canaries["metrics token"],
        "CHATORCH_SYSTEM_PROMPT": canaries["system prompt"],
        "CHATORCH_ANONYMOUS_CHAT": "true",
        "CHATORCH_CHATKIT_SERVER": "true",
        "LOG_LEVEL": "DEBUG",  # with it the ChatKit package logs to a handler of its own
        "CHATORCH_LOG_LEVEL": "debug",
        "CHATORCH_LOG_FORMAT": log_format,
    }
    await sign_up(server, "alice")
    token = server.tokens["alice"]
    canaries.marks["access token"] = token.rpartition(".")[2]
    async with serving(server):
        yield Prober(server.port, token)


# -- what is sent ----------------------------------------------------------------------------------------------------


def beside_the_text(canaries: Canaries) -> list[play.Step]:
    call = {"id": canaries["call's id"], "function": {"name": canaries["tool"], "arguments": canaries["arguments"]}}
    thought = {"type": "reasoning.text", "text": canaries.hostile("thought"), "signature": canaries["signature"]}
    cited = {"url": f"https://example.com/{canaries['source']}", "title": canaries.hostile("title of a source")}
    return [
        play.chunk(play.delta(reasoning_content=canaries.hostile("reasoning"))),
        play.chunk(play.delta(reasoning_details=[thought])),
        play.chunk(play.delta(tool_calls=[{"index": 0, **call}])),
        play.chunk(play.delta(annotations=[{"type": "url_citation", "url_citation": cited}])),
    ]


async def say_what_is_right(probe: Prober, canaries: Canaries, upstream: Upstream) -> tuple[str, str]:
    """Ordinary traffic; gives the ids of a thread and a run."""
    model = upstream.model(
        *beside_the_text(canaries), play.text(canaries["answer"]), play.finish(), play.usage(), play.done()
    )
    message = {
        "role": "user",
        "content": canaries.hostile("message"),
        "timestamp": canaries["timestamp"],
        "metadata": {canaries["metadata name"]: canaries.hostile("metadata")},
    }
    answer = await probe.send("POST", "/api/chat/protected", {"messages": [message], "model": model})
    assert answer.status == 200, answer
    run = json.loads(answer.text.partition("\r\n\r\n")[2])
    assert {part["type"] for part in run["parts"]} == {"reasoning", "tool_call", "text", "source"}
    thread_id, run_id = run["thread_id"], run["run_id"]
    await probe.chat(canaries["streamed message"], model=model, stream=True)
    body = {"title": canaries.hostile("title"), "metadata": {"a": canaries["thread's metadata"]}}
    assert (await probe.send("PATCH", f"/api/threads/{thread_id}", body)).status == 200
    await probe.send("POST", f"/api/runs/{run_id}/retry", {"model": model}, idempotency_key=canaries["retry's key"])
    await probe.send("GET", f"/api/runs/{run_id}/events?after=1", user_agent=canaries.in_header("user agent"))
    await probe.chat("Hi", model="m" + FORGED)
    await probe.send("GET", f"/api/threads/{thread_id}/messages")
    await probe.send("GET", "/api/threads", cookie=f"a={canaries['cookie']}", referer=canaries["referer"])
    body = {
        "messages": [{"role": "user", "content": canaries["guest's message"]}],
        "user_id": canaries.hostile("label"),
    }
    head = b"POST /api/chat HTTP/1.1\r\nhost: chat\r\nconnection: close\r\ncontent-type: application/json\r\n"
    content = json.dumps(body | {"stream": True}).encode()
    assert (await probe.raw(head + b"content-length: %d\r\n\r\n" % len(content) + content)).status == 200
    await speak_chatkit(probe, canaries, model, thread_id)
    return thread_id, run_id


async def speak_chatkit(probe: Prober, canaries: Canaries, model: str, thread_id: str) -> None:
    said = {
        "content": [
            {"type": "input_text", "text": canaries.hostile("ChatKit message")},
            {"type": "input_tag", "id": "e", "text": "@a", "data": {canaries["tag's name"]: canaries["tag's data"]}},
        ],
        "attachments": [],
        "quoted_text": canaries["quoted text"],
        "inference_options": {"model": model},
    }
    wrong = said | {"inference_options": {"model": canaries.hostile("ChatKit model")}, "content": []}
    action = {"type": canaries["action"], "payload": {"a": canaries["payload"]}}
    for kind, params, status in [
        ("threads.create", {"input": said}, 200),
        ("threads.add_user_message", {"thread_id": thread_id, "input": said}, 200),
        ("threads.update", {"thread_id": thread_id, "title": canaries.hostile("ChatKit title")}, 200),
        ("threads.get_by_id", {"thread_id": canaries["ChatKit thread id"]}, 404),
        ("threads.add_user_message", {"thread_id": canaries["ChatKit thread id"], "input": said}, 404),
        ("threads.retry_after_item", {"thread_id": thread_id, "item_id": canaries["ChatKit item id"]}, 404),
        ("threads.create", {"input": wrong}, 422),
        ("threads.create", {"input": said | {"attachments": [canaries["attachment"]]}}, 422),
        ("threads.custom_action", {"thread_id": thread_id, "action": action}, 200),
        ("threads.add_client_tool_output", {"thread_id": thread_id, "result": canaries["tool output"]}, 200),
        ("input.transcribe", {"audio_base64": canaries["audio"], "mime_type": "audio/webm"}, 422),
        (canaries["kind"], {}, 422),
    ]:
        answer = await probe.send("POST", "/chatkit", {"type": kind, "params": params, "metadata": {}})
        assert answer.status == status, answer


async def say_what_is_wrong(probe: Prober, canaries: Canaries, thread_id: str, run_id: str) -> None:
    await probe.chat("Hi", model=canaries.hostile("model"), thread_id="thr_nowhere")
    await probe.chat("x" * 3000 + canaries["long message"])
    await probe.chat("Hi", **{canaries["unknown field"]: canaries["unknown value"]})
    await probe.chat("Hi", thread_id=canaries["thread id"])
    await probe.chat("Hi", user_id=canaries.hostile("user id"))
    await probe.send("POST", "/api/chat/protected", {"messages": [{"role": canaries["role"], "content": 5}]})
    await probe.send("POST", "/api/chat/protected", b'{"messages": ' + canaries["broken JSON"].encode())
    await probe.send("POST", "/api/chat/protected", b"\xff" + canaries["broken UTF-8"].encode())
    await probe.send("POST", "/api/chat/protected", canaries["big body"].encode() * 50_000)
    await probe.send("POST", "/api/chat/protected", b"{}", content_type=canaries["content type"])
    await probe.chat("Hi", stream=canaries["stream"])
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    for key in (canaries.in_header("idempotency key"), canaries["long key"] * 20):
        await probe.send("POST", "/api/chat/protected", body, idempotency_key=key)
    await probe.send("GET", f"/api/runs/{run_id}/events", last_event_id=canaries["last event id"])
    await probe.send("GET", f"/api/threads/{thread_id}/messages?after={canaries['cursor']}&limit={canaries['limit']}")
    await probe.send("GET", f"/api/threads/{quote(canaries.hostile('path'), safe='')}")
    await probe.send("GET", f"/{quote(canaries.hostile('address'), safe='')}?token={canaries['query token']}")
    await probe.send("GET", f"/api/me?access_token={canaries['query access token']}", token="")
    await probe.send("GET", "/api/me", x_request_id=canaries.in_header("request id"))
    await probe.send("GET", "/api/me", token=canaries["bearer"])
    await probe.send("GET", "/api/me", token=f"eyJhbGciOiJub25lIn0.{canaries['forged token']}.")
    await probe.send("GET", "/api/me", authorization=f"Basic {canaries['basic']}")
    await probe.send("GET", "/api/me", authorization=canaries.in_header("no scheme"))
    await probe.send("GET", "/api/me", x_forwarded_for=canaries.in_header("forwarded for"))
    await probe.send("GET", "/api/me", x_forwarded_for=f"fe80::1%{canaries.in_header('zone')}")
    await probe.send("GET", "/nowhere", user_agent=canaries["user agent"] + "\x1b[31m")
    await probe.send("GET", "/metrics", token=canaries["wrong metrics token"])
    await probe.send(canaries["method"], "/api/me")
    await probe.raw(f"{canaries['raw']}\x1b[31m\r\n\r\n".encode())
    await probe.raw(f"GET / HTTP/1.1\r\nhost: x\r\n{canaries['raw header']}\x00: y\r\n\r\n".encode())


async def sign_in_wrongly(probe: Prober, canaries: Canaries) -> None:
    forms = [
        f"grant_type=password&username=alice&password={canaries['password']}",
        f"grant_type=password&username={quote(canaries.hostile('username'))}&password={canaries['other password']}",
        f"grant_type=password&username=alice&password=%00{canaries['password with NUL']}",
        f"grant_type={canaries['grant']}&username=alice&client_secret={canaries['client secret']}",
    ]
    for form in forms:
        answer = await probe.send("POST", "/token", form.encode(), content_type="application/x-www-form-urlencoded")
        assert answer.status in {401, 422}


async def let_the_provider_fail(probe: Prober, canaries: Canaries, upstream: Upstream) -> None:
    echo = canaries["upstream's body"] + ' {authorization} "'
    scripts = [
        [play.status(401, {"x-secret": canaries["upstream's header"]}, echo)],
        [play.status(400, body=echo)],
        [play.status(429, {"retry-after": canaries["retry after"], "retry-after-ms": "1"}, echo)],
        [play.status(302, {"location": f"http://127.0.0.1:1/{canaries['location']}"}, echo)],
        [play.html(canaries["upstream's page"])],
        [play.text(canaries["partial answer"]), play.error(canaries["upstream's error"])],
        [play.text("a"), play.raw(f"data: {canaries['upstream chunk']}\n\n".encode())],
        [play.text("a"), play.reset()],
        [play.raw(f"data: {canaries['upstream end']}".encode())],
    ]
    for script in scripts:
        model = upstream.model(*script)
        assert (await probe.chat(canaries["message of a failed run"], model=model)).status in {502, 503}
        await probe.chat(canaries["message of a failed stream"], model=model, stream=True)
    refused = upstream.model(scripts[0])
    assert (await probe.chat(canaries["message to another provider"], model=f"local:{refused}")).status == 502
    assert upstream.seen(refused)[0].headers["authorization"].endswith(canaries["key of another provider"])


async def let_the_store_fail(probe: Prober, canaries: Canaries, thread_id: str, execute: Execute) -> None:
    """In a way that nobody foresees: a column is gone, and the error comes up with the statement in it."""
    await execute("ALTER TABLE messages RENAME COLUMN content TO hidden")
    try:
        assert (await probe.chat(canaries["message that cannot be stored"])).status == 500
        assert (await probe.send("GET", f"/api/threads/{thread_id}/messages")).status == 500
    finally:
        await execute("ALTER TABLE messages RENAME COLUMN hidden TO content")
    await execute("ALTER TABLE threads RENAME COLUMN title TO hidden")
    try:
        title = {"title": canaries["title that cannot be stored"]}
        assert (await probe.send("PATCH", f"/api/threads/{thread_id}", title)).status == 500
    finally:
        await execute("ALTER TABLE threads RENAME COLUMN hidden TO title")


async def let_the_end_of_a_run_fail(
    probe: Prober, canaries: Canaries, upstream: Upstream, server: Server, execute: Execute
) -> None:
    """The store comes back, and so does the answer."""
    end = canaries["end"]
    model = upstream.model(play.text(canaries["answer that cannot be stored"]), play.pause(end), *play.ANSWER)
    asked = asyncio.ensure_future(probe.chat("Hi", model=model))
    await upstream.until(model, "paused")
    await execute("ALTER TABLE messages RENAME TO hidden_messages")
    upstream.release(end)

    async def is_logged() -> bool:
        return "the end of a run" in server.log

    await eventually(is_logged)
    await execute("ALTER TABLE hidden_messages RENAME TO messages")
    assert (await asked).status == 200


async def stop_in_the_middle(probe: Prober, canaries: Canaries, upstream: Upstream, server: Server) -> None:
    model = upstream.model(play.text(canaries["unfinished answer"]), play.hang())
    asked = asyncio.ensure_future(probe.chat(canaries["unanswered message"], model=model))
    await upstream.until(model, "seen")
    await server.stop()
    assert (await asked).status == 409


async def do_everything(
    server: Server, canaries: Canaries, upstream: Upstream, execute: Execute, log_format: str
) -> tuple[Prober, str]:
    """Returns what was asked and answered, and the metrics in both forms."""
    server.settings["CHATORCH_DRAIN_LIMIT_S"] = "0.3"
    async with talkative(server, canaries, upstream, log_format) as probe:
        thread_id, run_id = await say_what_is_right(probe, canaries, upstream)
        await say_what_is_wrong(probe, canaries, thread_id, run_id)
        await sign_in_wrongly(probe, canaries)
        await let_the_provider_fail(probe, canaries, upstream)
        await let_the_store_fail(probe, canaries, thread_id, execute)
        await let_the_end_of_a_run_fail(probe, canaries, upstream, server, execute)
        assert (await probe.send("DELETE", f"/api/threads/{thread_id}")).status == 204
        metrics_token = canaries["metrics token"]
        shown = [
            await probe.send("GET", "/metrics", token=metrics_token, accept=kind)
            for kind in ("*/*", "application/json")
        ]
        assert [answer.status for answer in shown] == [200, 200]
        await stop_in_the_middle(probe, canaries, upstream, server)
    return probe, "\n".join(answer.text for answer in shown)


def assert_nothing_came_out(server: Server, probe: Prober, metrics: str, canaries: Canaries) -> None:
    assert len(canaries.marks) >= 30
    assert len([answer for answer in probe.answers if answer.status >= 400]) >= 40
    for text in (server.log, metrics, probe.refusals):
        assert canaries.found_in(text) == []
    assert {"message", "answer", "metadata", "title", "partial answer"} - {*canaries.found_in(probe.successes)} == set()
    assert "forged" not in metrics + probe.refusals
    assert not [
        line for line in server.log.splitlines() if line.startswith(("2026-01-01", "forged", '{"event":"forged'))
    ]
    assert not CONTROLS.search(server.log)
    assert server.log.count("request_failed") == 3
    assert len(server.log.splitlines()) >= len(probe.answers)


# -- where it is looked for ------------------------------------------------------------------------------------------


async def test_nothing_secret_comes_out_of_a_server_on_sqlite_that_logs_json(
    server_in: ServerIn, upstream: Upstream, canaries: Canaries, tmp_path: Path
) -> None:
    server = server_in(tmp_path)

    async def execute(statement: str) -> None:
        connection = sqlite3.connect(tmp_path / "chat.db", timeout=5)
        connection.execute(statement)
        connection.close()

    probe, metrics = await do_everything(server, canaries, upstream, execute, "json")
    assert_nothing_came_out(server, probe, metrics, canaries)
    for line in server.log.splitlines():
        event = json.loads(line)
        assert event.keys() >= {"event", "level", "timestamp"}


async def test_nothing_secret_comes_out_of_a_server_on_postgresql_that_logs_for_the_eye(
    server_in: ServerIn, upstream: Upstream, canaries: Canaries, postgres: Databases, tmp_path: Path
) -> None:
    url = await postgres.fresh()
    parts = urlsplit(url)
    secret = f"{parts.username}:{canaries['database password']}@{parts.hostname}:{parts.port}"
    server = server_in(tmp_path, urlunsplit(parts._replace(netloc=secret)))

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    probe, metrics = await do_everything(server, canaries, upstream, execute, "console")
    assert_nothing_came_out(server, probe, metrics, canaries)
    for line in server.log.splitlines():
        assert CONSOLE_LINE.match(line), line
