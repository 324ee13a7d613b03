"""Which of two media types a client accepts more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.entrypoints.common.negotiation import prefers

EVENTS, JSON = "text/event-stream", "application/json"


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream",
        "TEXT/Event-Stream",
        " text/event-stream ",
        "text/event-stream; charset=utf-8",
        "text/event-stream;q=0.001",
        "text/event-stream ; Q=0.5",
        "text/event-stream, application/json;q=0.9",
        "application/json;q=0.9, text/event-stream",
        "application/json; q=0.1, text/html, text/event-stream; q=0.2",
        "application/json;q=0, */*",
        "text/event-stream, */*",
        "text/event-stream, */*;q=0.8",
        "text/*, */*;q=0.1",
        "text/*",
        "text/html;level=1, text/*;q=0.7, application/*;q=0.6",
        'text/event-stream;profile="a,b;q=0"',
        'application/json;profile="x, y";q=0.2, text/event-stream;q=0.3',
        "text/event-stream;q=0, text/event-stream",
        "application/json;q=x, text/event-stream",
        ",, text/event-stream ,",
    ],
)
def test_events_where_they_are_wanted_more(accept: str):
    assert prefers([accept], EVENTS, over=JSON)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "text/html",
        "text/event-streams",
        "x-text/event-stream",
        "text/event-stream;q=0",
        "text/event-stream; q=0.0",
        "text/event-stream ; Q=0.000",
        "text/event-stream;charset=utf-8;q=0",
        "text/event-stream;q=0, */*",
        "text/event-stream;q=0, text/*",
        "application/json, text/event-stream",
        "text/event-stream, application/json",
        "application/json, text/event-stream;q=0.5",
        "application/json, text/*",
        "*/*;q=0.9, text/event-stream;q=0.5",
        "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
        "application/*, text/event-stream;q=0.9",
        "text/event-stream;q=high",
        "text/event-stream;q=",
        "text/event-stream;q=nan",
        "text/event-stream;q=-1",
        "text/event-stream;q=7",
        'text/html;profile="text/event-stream"',
        ";q=1,/,*",
    ],
)
def test_json_where_it_is_wanted_as_much_or_nothing_is_said(accept: str):
    assert not prefers([accept], EVENTS, over=JSON)


def test_several_headers_are_one_list():
    assert prefers(["application/json;q=0.5", "text/event-stream"], EVENTS, over=JSON)
    assert not prefers(["text/event-stream", "application/json"], EVENTS, over=JSON)
    assert not prefers([], EVENTS, over=JSON)


@given(st.lists(st.text(st.sampled_from('text/event-stream application/json;q=01.,*"\\')), max_size=4))
def test_never_both_and_never_an_error(accept: list[str]):
    assert not (prefers(accept, EVENTS, over=JSON) and prefers(accept, JSON, over=EVENTS))


@pytest.mark.parametrize("nasty", ['"' * 50_000, "," * 50_000, ";" * 50_000, '"\\' * 25_000, "a;q=" * 10_000])
def test_no_header_takes_long(nasty: str):
    assert not prefers([nasty], EVENTS, over=JSON)
