"""Taking a byte stream apart into events, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.adapters.models.upstream.sse import END, MAX_BODY_BYTES, MAX_EVENT_BYTES, Fault, PayloadParser


def parsed(*reads: bytes) -> list[bytes]:
    parser = PayloadParser(events=True)
    payloads = [payload for read in reads for payload in parser.feed(read)]
    assert not parser.overflow
    return payloads + parser.close()


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b": comment\n\n:\n\ndata: a\n\n", [b"a"]),
        (b"event: message\nid: 7\nretry: 10\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: \xef\xbb\xbfa\n\n", [b"\xef\xbb\xbfa"]),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"dataset: a\n\ndat: b\n\n", []),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"data: a\n\ndata:\n\ndata: \n\ndata: b\n\n", [b"a", b"b"]),
        (b"", []),
    ],
)
def test_events_are_found_as_the_specification_says(stream: bytes, payloads: list[bytes]) -> None:
    assert parsed(stream) == payloads
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == payloads


def test_an_event_comes_as_soon_as_it_is_whole_whatever_ends_its_lines() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        parser = PayloadParser(events=True)
        assert parser.feed(b"data: a" + end + end) == [b"a"]
        assert parser.feed(b"data: b" + end + end) == [b"b"]


def test_an_event_without_data_is_none_also_where_it_comes_alone() -> None:
    parser = PayloadParser(events=True)
    assert [parser.feed(read) for read in (b"data: a\n\n", b"data: \n\n", b"data:\n\n", b"data: b\n\n")] == [
        [b"a"], [], [], [b"b"],
    ]  # fmt: skip


LINES = st.sampled_from([b"data: a", b"data:b", b"data: {}", b": note", b"event: x", b"", b"", b"data: \xc3\xa9"])


@given(st.lists(LINES, max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_any_cut_of_the_stream_gives_the_same_events(lines: list[bytes], end: bytes, data: st.DataObject) -> None:
    stream = end.join([*lines, b"", b""])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parsed(*reads) == parsed(stream)


@pytest.mark.parametrize(
    "reads",
    [
        [b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n"],
        [b"x" * 65_536] * 17,
        [b"data: a\n\n", b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n"],
        [b"data: " + b"x" * 65_536 + b"\n"] * 17,
    ],
)
def test_an_event_over_a_mebibyte_is_refused_before_it_is_whole(reads: list[bytes]) -> None:
    parser = PayloadParser(events=True)
    for read in reads:
        parser.feed(read)
    assert parser.overflow


def test_an_event_of_almost_a_mebibyte_is_fine_over_and_over() -> None:
    event = b"x" * (MAX_EVENT_BYTES - 6)
    assert parsed(*[b"data: " + event + b"\n\n"] * 3) == [event] * 3


CHUNK, NEXT = b'{"a": "b"}', b'{"c": [1]}'


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        pytest.param(b"data: %b\ndata: %b\n" % (CHUNK, NEXT), [CHUNK, NEXT], id="no blank line between"),
        pytest.param(b"data: %b\ndata: [DONE]\n\n" % CHUNK, [CHUNK, b"[DONE]"], id="the end in the same event"),
        pytest.param(b"data: %b\nevent: x\ndata: %b\n\n" % (CHUNK, NEXT), [CHUNK, NEXT], id="a name between"),
        pytest.param(b'data: {\ndata: "a": 1\ndata: }\n\n', [b'{\n"a": 1\n}'], id="JSON over several lines"),
        pytest.param(b'data: {\n  "a": 1\n}\n\n', [b'{\n  "a": 1\n}'], id="lines that lack their name"),
        pytest.param(b"Data: %b\n\nDATA:%b\n\n" % (CHUNK, NEXT), [CHUNK, NEXT], id="names in capitals"),
        pytest.param(b" data: %b\n \n data: %b\n\n" % (CHUNK, NEXT), [CHUNK, NEXT], id="indented"),
        pytest.param(b"data: %b\n\n%b\n" % (CHUNK, NEXT), [CHUNK, NEXT], id="JSON between events"),
        pytest.param(b"%b\n%b\n" % (CHUNK, NEXT), [CHUNK, NEXT], id="JSON lines"),
        pytest.param(b"%b\r\n\r\n%b" % (CHUNK, NEXT), [CHUNK, NEXT], id="JSON lines, the last without an end"),
        pytest.param(CHUNK, [CHUNK, END], id="one JSON value"),
        pytest.param(b"\xef\xbb\xbf\n" + CHUNK, [CHUNK, END], id="behind a byte order mark"),
        pytest.param(b'{\n "a": [\n  1\n ]\n}\n', [b'{\n "a": [\n  1\n ]\n}\n\n', END], id="indented JSON"),
        pytest.param(CHUNK + b"\n\ndata: [DONE]\n\n", [CHUNK, b"[DONE]"], id="JSON, then the end as an event"),
        pytest.param(b"data: %b\nerror: 1\n\n" % CHUNK, [CHUNK, b'{"error":1}'], id="an error right behind it"),
        pytest.param(b"data: %b\n%b\n\n" % (CHUNK, NEXT), [CHUNK, NEXT], id="JSON right behind it"),
        pytest.param(b"error: %b\n\n" % CHUNK, [b'{"error":%b}' % CHUNK], id="a field named error"),
        pytest.param(b"error: null\nerror:\n\n", [b'{"error":null}'], id="a field named error that is empty"),
    ],
)
def test_what_providers_make_of_it_is_understood(stream: bytes, payloads: list[bytes]) -> None:
    for reads in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        parser = PayloadParser()
        heard = [payload for read in reads for payload in parser.feed(read)]
        assert heard + parser.close() == payloads
        assert not parser.alien
        assert not parser.overflow


@pytest.mark.parametrize(
    "stream", [b"event: error\ndata: x\n\n", b"event: api_error\ndata: x\n", b"error: x\n", b"ERROR: x\n"]
)
def test_an_event_named_error_is_told_apart(stream: bytes) -> None:
    [payload] = parsed(stream)
    assert isinstance(payload, Fault)
    assert payload == b"x"


def test_a_name_is_of_its_event_only() -> None:
    heard = parsed(b"event: error\n\nevent: ping\ndata: a\n\ndata: b\n\n")
    assert heard == [b"", b"a", b"b"]
    assert [isinstance(payload, Fault) for payload in heard] == [True, False, False]


def test_without_blank_lines_each_event_but_the_first_comes_at_once() -> None:
    parser = PayloadParser(events=True)
    reads = [b'data: {"a": %d}\n' % number for number in range(4)]
    assert [parser.feed(read) for read in reads] == [[], [b'{"a": 0}', b'{"a": 1}'], [b'{"a": 2}'], [b'{"a": 3}']]


@pytest.mark.parametrize("body", [b"<html>", b"\r\n <p>", b"\xef\xbb\xbf<", b"Bad gateway\n", b"\x89PNG\r\n"])
def test_what_is_neither_events_nor_json_is_known_at_once(body: bytes) -> None:
    parser = PayloadParser()
    assert parser.feed(body) == []
    assert parser.alien


def test_a_json_body_may_be_longer_than_an_event_and_has_a_limit() -> None:
    long = b'{"a": "%b"}' % (b"x" * 2 * MAX_EVENT_BYTES)
    parser = PayloadParser()
    assert parser.feed(long[:1000]) + parser.feed(long[1000:]) + parser.close() == [long, END]
    for body in (b"{" + bytes(MAX_BODY_BYTES + 1), b"{\n" * (MAX_BODY_BYTES // 2 + 1)):
        parser = PayloadParser()
        parser.feed(body)
        assert parser.overflow
