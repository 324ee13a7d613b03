"""What a newcomer sees: `/` and `/docs`."""

import re

import httpx
import pytest

from chatorch import __version__
from tests.support.api import Api

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def below(api: Api, prefix: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(api.app, root_path=prefix), base_url="http://test")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "text/html;q=0"])
async def test_a_program_is_told_what_this_is_and_where_to_go_on(api: Api, accept: str):
    answer = await api.anonymous().get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    told = answer.json()
    assert (told["name"], told["version"]) == ("chatorch", __version__)
    for address in told["links"].values():
        assert (await api.anonymous().get(address)).status_code in {200, 405}


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_browser_gets_a_page_without_scripts_and_with_nothing_from_elsewhere(api: Api, path: str):
    answer = await api.anonymous().get(path, headers={"Accept": BROWSER})
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<link|<img|https?://|//cdn| on[a-z]+=", answer.text)
    for address in re.findall(r'href="([^"]+)"', answer.text):
        assert (await api.anonymous().get(address)).status_code in {200, 405}
    assert (await api.anonymous().head(path)).status_code == 200


async def test_the_page_of_operations_has_all_of_them(api: Api):
    shown = set(re.findall(r"<b>([A-Z]+)</b> <code>([^<]+)</code>", (await api.anonymous().get("/docs")).text))
    paths = api.app.openapi()["paths"]
    assert shown == {(method.upper(), path) for path, methods in paths.items() for method in methods}


async def test_links_are_those_below_the_prefix(api: Api):
    async with below(api, "/chat") as client:
        links = (await client.get("/chat/")).json()["links"]
        assert {address[:6] for address in links.values()} == {"/chat/"}
        page = (await client.get("/chat/", headers={"Accept": BROWSER})).text
        assert {address[:6] for address in re.findall(r'href="([^"]+)"', page)} == {"/chat/"}
        assert 'href="/chat/openapi.json"' in (await client.get("/chat/docs")).text
