"""Taking a byte stream apart into events, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.adapters.openai.sse import MAX_BODY_BYTES, MAX_EVENT_BYTES, BodyParser, EventParser


def parsed(*reads: bytes) -> list[bytes]:
    parser = EventParser()
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
        parser = EventParser()
        assert parser.feed(b"data: a" + end + end) == [b"a"]
        assert parser.feed(b"data: b" + end + end) == [b"b"]


def test_an_event_without_data_is_none_also_where_it_comes_alone() -> None:
    parser = EventParser()
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
    parser = EventParser()
    for read in reads:
        parser.feed(read)
    assert parser.overflow


def test_an_event_of_almost_a_mebibyte_is_fine_over_and_over() -> None:
    event = b"x" * (MAX_EVENT_BYTES - 6)
    assert parsed(*[b"data: " + event + b"\n\n"] * 3) == [event] * 3


def test_a_json_body_is_one_payload_and_done() -> None:
    parser = BodyParser()
    assert parser.feed(b'{"a"') + parser.feed(b": 1}") == []
    assert parser.close() == [b'{"a": 1}', b"[DONE]"]


def test_a_json_body_has_a_limit() -> None:
    parser = BodyParser()
    parser.feed(bytes(MAX_BODY_BYTES + 1))
    assert parser.overflow
