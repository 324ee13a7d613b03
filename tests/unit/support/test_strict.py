"""The strict provider's own rules, which other tests go by."""

import http.client
import json

import pytest

from tests.support import upstream as play
from tests.support.strict import objection
from tests.support.upstream import ANSWER, Upstream

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def messages(roles: str, content: str = "x") -> list[dict[str, str]]:
    return [{"role": ROLES[role], "content": content} for role in roles]


@pytest.mark.parametrize("roles", ["u", "su", "uau", "suauau"])
def test_what_a_strict_provider_takes(roles: str):
    assert objection(messages(roles)) is None


@pytest.mark.parametrize("roles", ["", "s", "a", "sa", "ssu", "usu", "us", "au", "sau", "ua", "uu", "uaau", "utu"])
def test_what_it_does_not(roles: str):
    assert objection(messages(roles))


def test_neighbours_where_it_takes_them_and_nothing_else():
    for roles in ("uu", "uaau", "suu"):
        assert objection(messages(roles), neighbours=True) is None
    for roles in ("au", "ssu", "ua"):
        assert objection(messages(roles), neighbours=True)


@pytest.mark.parametrize("content", ["", " ", "\n", "\u200b", "\x07"])
def test_nothing_blank(content: str):
    assert objection(messages("u", content)) == "a blank message"


def test_the_server_refuses_with_400_and_names_what_it_is(upstream: Upstream):
    strict = upstream.model([play.strict("canary", "stream_options"), *ANSWER])

    def asked(model: str, roles: str, content: str = "x", **members: object) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
        body = {"model": model, "messages": messages(roles, content), "stream": True, **members}
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, json.loads(text)["error"]["param"] if answer.status != 200 else ""

    assert asked(strict, "su") == (200, "")
    assert asked(strict, "uu") == (400, "messages")
    assert asked(strict, "u", "a canary") == (400, "messages")
    assert asked(strict, "u", stream_options={}) == (400, "stream_options")
    assert (asked("strict-3-0", "uau"), asked("strict-3-0", "ua")) == ((200, ""), (400, "messages"))
