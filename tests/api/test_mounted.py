"""In another application, as docs/mounting.md shows it."""

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from chatorch.entrypoints.app import create_app
from tests.support.api import Api
from tests.support.logged import logged
from tests.support.raw_ws import RawDevice
from tests.support.ws import served

PAGE = Path(__file__).parents[2] / "docs" / "mounting.md"


def mounted(chat: FastAPI) -> httpx.AsyncClient:
    host = FastAPI()
    host.mount("/chat", chat)
    return httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://test")


async def test_without_its_lifespan_it_refuses_and_says_what_to_do(api: Api):
    with logged() as out:
        async with mounted(create_app(api.container)) as client:
            answers = [await client.get(path) for path in ("/chat/health/live", "/chat/", "/chat/nowhere")]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "not_started")
        assert "docs/mounting.md" in answer.json()["detail"]
        assert answer.headers["Retry-After"]
        assert answer.headers["X-Request-ID"]
    assert len(out.named("not_started")) == 1


async def test_a_websocket_is_refused_as_well(api: Api):
    async with served(replace(api, app=create_app(api.container))) as door:
        device = await RawDevice.connect(door.port, "token")
        device.leave()
    assert device.status == 503


async def test_the_example_serves_below_its_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET_KEY", "s" * 32)
    monkeypatch.setenv("CHATORCH_ANONYMOUS_CHAT", "true")
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, FastAPI] = {"__name__": "example"}
    exec(example, names)
    app = names["app"]
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        assert (await client.get("/chat/health/ready")).status_code == 200
        assert (await client.get("/chat/openapi.json")).json()["servers"] == [{"url": "/chat"}]
        said = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        answer = await client.post("/chat/api/chat", json=said)
        assert re.fullmatch("/chat/api/runs/run_[a-z0-9]+/events", answer.headers["Content-Location"])
