"""AG-UI's own client where the provider fails, a worker dies, or the server refuses."""

import sqlite3
from contextlib import closing

import pytest

from tests.clients.ag_ui_page import POST, at, run_of, shown
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import ClientProcess
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.upstream import ANSWER, Upstream, close, error, finish, pause, status, text


async def test_a_failing_provider_is_an_error_of_the_run_and_asking_again_answers_the_same_message(
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str
):
    model = upstream.model([status(400)], ANSWER)
    given = at(server, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi")
    await call.value()
    [told] = call.told("error")
    assert told["code"].startswith("upstream_")
    assert told["message"]
    assert shown(await agents.value("ask", **given)) == [("user", "Hi"), ("assistant", "Hello, world")]
    assert shown(await agents.value("connect", **given)) == [("user", "Hi"), ("assistant", "Hello, world")]


@pytest.mark.parametrize("broken", ["an error as an event", "a closed connection"])
async def test_a_provider_that_fails_in_mid_answer_is_an_error_behind_what_was_said(
    agents: ClientProcess, server: Server, line: LossyLine, upstream: Upstream, tab: str, broken: str
):
    end = error("secret") if broken.startswith("an error") else close()
    model = upstream.model([text("one "), end], ANSWER)
    given = at(line, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi")
    page = await call.value()
    assert shown(page) == [("user", "Hi"), ("assistant", "one ")]
    [told] = call.told("error")
    assert told["code"].startswith("upstream_")
    assert "provider" in told["message"]
    assert line.calls == [POST]
    assert shown(await agents.value("ask", **given))[0] == ("user", "Hi")
    assert shown(await agents.value("connect", **given)) == [("user", "Hi"), ("assistant", "Hello, world")]


async def test_the_only_worker_is_killed_between_two_pieces(
    agents: ClientProcess, new_server: NewServer, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    async with (
        serving(await new_server(checkpoint_s=0.2, continue_within_s=0)) as server,
        lossy_line(server.port) as line,
    ):
        given = at(line, server.tokens["alice"], tab, model=model)
        call = agents.begin("ask", **given, text="Hi")
        await call.until("text")
        await _saved(server, run_of(call))
        await server.kill()
        assert (await call.error())["message"] == "terminated"
        await server.start()
        upstream.release(tab)
        page = await agents.value("connect", **given)
        assert shown(page) == [("user", "Hi"), ("assistant", "one ")]
        answered = await agents.value("ask", **given)
        assert shown(answered)[0] == ("user", "Hi")
        assert shown(await agents.value("connect", **given)) == [("user", "Hi"), ("assistant", "one two")]


async def test_one_of_two_workers_is_killed_between_two_pieces(
    agents: ClientProcess, two_workers: TwoWorkers, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    async with two_workers(lease_s=1, checkpoint_s=0.2, continue_within_s=0) as (one, two):
        given = at(one.server, one.token, tab, model=model)
        call = agents.begin("ask", **given, text="Hi")
        await call.until("text")
        await _saved(one.server, run_of(call))
        await one.server.kill()
        assert (await call.error())["message"] == "terminated"
        back = agents.begin("connect", **{**given, "url": two.server.url})
        page = await back.value()
        upstream.release(tab)
        assert [told["code"] for told in back.told("error")] == ["run_interrupted"]
        assert shown(page) == [("user", "Hi"), ("assistant", "one ")]


async def _saved(server: Server, run_id: str) -> None:
    """Until all is stored that a run has said: two checkpoints have begun and ended."""

    def checkpoints() -> int:
        with closing(sqlite3.connect(server.folder / "chat.db")) as store:
            [(count,)] = store.execute("SELECT heartbeat FROM runs WHERE id = ?", [run_id])
        return int(count)

    before = checkpoints()

    async def two_more() -> bool:
        return checkpoints() >= before + 2

    await eventually(two_more)


async def test_each_refusal_is_an_error_with_our_detail_and_asked_for_once(
    agents: ClientProcess, server: Server, line: LossyLine, upstream: Upstream, tab: str
):
    model = upstream.model(ANSWER)
    given = at(line, server.tokens["alice"], tab, model=model)
    unknown = await agents.error("ask", **{**given, "tab": f"{tab}-out", "token": "not.a.token"}, text="Hi")
    assert (unknown["status"], unknown["payload"]["code"]) == (401, "invalid_token")
    tools = [{"name": "two words", "description": "", "parameters": {}}]
    refused = await agents.error("ask", **{**given, "tab": f"{tab}-tools"}, text="Hi", parameters={"tools": tools})
    assert (refused["status"], refused["payload"]["errors"][0]["field"]) == (422, "tools.0.name")
    foreign = await agents.error("ask", **{**given, "tab": f"{tab}-thr", "thread": "thr_unknown"}, text="Hi")
    assert (foreign["status"], foreign["payload"]["code"]) == (404, "not_found")
    assert line.calls == [POST] * 3


async def test_too_many_at_once_are_a_429(agents: ClientProcess, few: Server, upstream: Upstream, tab: str):
    model = upstream.model([text("one "), pause(tab), finish()])
    async with lossy_line(few.port) as line:
        given = at(line, few.tokens["alice"], tab, model=model)
        call = agents.begin("ask", **given, text="Hi")
        await call.until("text")
        other = {**given, "tab": f"{tab}-other", "thread": f"other-{tab}"}
        refused = await agents.error("ask", **other, text="Hi")
        assert (refused["status"], refused["payload"]["code"]) == (429, "too_many_runs")
        assert line.calls == [POST] * 2
        upstream.release(tab)
        await call.value()
