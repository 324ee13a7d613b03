"""The key, the messages and the provider's words stay where they belong, whatever goes wrong."""

import gc
import io
import logging
import traceback
from collections.abc import Iterator

import pytest

from tests.adapters.models.conftest import KEY, NewModel
from tests.support import upstream as play
from tests.support.chat import listen, prompt
from tests.support.upstream import ANSWER, Script, Upstream

SAID = "canary-of-the-user"
ANSWERED = "canary-of-the-provider"
PASSWORD = "canary-of-the-address"
CANARIES = (KEY, SAID, ANSWERED, PASSWORD)

ECHO = (
    '{"error": {"message": "Incorrect API key provided: {authorization}, ' + ANSWERED + '", "code": "invalid_api_key"}}'
)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that any library logs, at its most talkative."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.mark.parametrize(
    "script",
    [
        [play.status(401, body=ECHO)],
        [play.status(403, body=ECHO)],
        [play.status(400, body=ECHO)],
        [play.status(429, {"x-echo": KEY}, body=ECHO)],
        [play.status(500, body=ECHO)],
        [play.text("a"), play.error(f"{KEY} {ANSWERED}", code="invalid_api_key")],
        [play.text("a"), play.raw(b'data: {"choices": "' + ANSWERED.encode() + b'"}\n\n')],
        [play.text("a"), play.raw(b"data: {" + ANSWERED.encode() + b"\xff\n\n")],
        [play.html(ANSWERED)],
        [play.text(ANSWERED), play.reset()],
        [play.reset()],
        [play.close()],
        ANSWER,
    ],
)
async def test_no_error_and_no_log_shows_a_secret(
    new_model: NewModel, upstream: Upstream, script: Script, log: io.StringIO
) -> None:
    address = upstream.base_url.replace("http://", f"http://me:{PASSWORD}@")
    name = upstream.model(*script)
    for model in (new_model(), new_model(base_url=address)):
        heard = await listen(model, prompt(name, SAID))
        if heard.error is not None:
            shown = [str(heard.error), repr(heard.error), heard.error.detail, *traceback.format_exception(heard.error)]
            assert not [canary for canary in CANARIES for text in shown if canary in text]
            assert heard.error.__cause__ is None
            assert heard.error.__context__ is None
    gc.collect(1)
    written = log.getvalue()
    assert written
    assert not [canary for canary in CANARIES if canary in written], written


async def test_the_body_of_a_refusal_is_not_even_read(new_model: NewModel, upstream: Upstream) -> None:
    name = upstream.model(play.head("application/json", 401), play.raw(b'{"error": {'), play.hang())
    heard = await listen(new_model(), prompt(name))
    assert heard.error is not None
    assert heard.seconds < 1
