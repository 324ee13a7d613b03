"""The pages in `examples` call what is served."""

import re
from pathlib import Path

import pytest

from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.common.middleware.cors import REQUEST_HEADERS, RESPONSE_HEADERS
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
SELF_HOSTED = (EXAMPLES / "chatkit-self-hosted.html").read_text(encoding="utf-8")

ADDRESS = re.compile(r"\$\{SERVER\}(/[^`\"]*)")


def anonymous(path: str) -> str:
    """Whatever the parts that vary are called."""
    return re.sub(r"\$?\{\w+\}|\(\[\^/\]\+\)", "{}", path)


def served() -> set[str]:
    app = create_app(Container(settings=Settings(secret_key="s" * 32, chatkit_server=True)))
    return {anonymous(path) for path in app.openapi()["paths"]}


def test_every_address_that_the_page_calls_is_served():
    called = {anonymous(path) for path in ADDRESS.findall(SELF_HOSTED)}
    assert called == {"/token", "/chatkit", "/api/runs/{}/cancel"}
    assert called <= served()


def test_the_run_is_found_where_an_answer_says_it_is():
    [pattern] = re.findall(r"\.match\(/(.*?)/\)", SELF_HOSTED)
    assert anonymous(pattern.replace("\\/", "/").strip("^$")) in served()
    assert re.findall(r"headers\.get\(\"([\w-]+)\"\)", SELF_HOSTED) == ["Content-Location"]
    assert "Content-Location" in RESPONSE_HEADERS


def test_the_page_sends_headers_that_another_origin_may_send():
    sent = {"Authorization"} | set(re.findall(r"\"([A-Z][a-z]+-[A-Z][a-z]+)\": ", SELF_HOSTED))
    assert sent <= set(REQUEST_HEADERS)


@pytest.mark.parametrize("page", sorted(EXAMPLES.glob("*.html")), ids=lambda path: path.name)
def test_a_page_loads_no_script_but_the_widgets(page: Path):
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.read_text(encoding="utf-8"))
    assert loaded == ["https://cdn.platform.openai.com/deployments/chatkit/chatkit.js"]
