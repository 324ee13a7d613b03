"""Lines of a stream, however it arrives, and none of them too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.adapters.tools.mcp.lines import KEPT, Lines, TooLong

RESULT = b'"result":{"id":9,"text":"%s"}'


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_the_same_wherever_they_are_cut(lines: list[bytes], data: st.DataObject):
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    cutter = Lines(20)

    assert [line for piece in pieces for line in cutter.feed(piece)] == [line for line in lines if line.strip()]


@pytest.mark.parametrize("step", [1, 7, 5000])
@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b'{"jsonrpc":"2.0","id":5,' + RESULT % (b"x" * 2000) + b"}", 5),
        (b'{ "jsonrpc": "2.0", "id": 5, ' + RESULT % (b"x" * 2000) + b"}", 5),
        (b"{" + RESULT % (b"x" * 2000) + b',"jsonrpc":"2.0","id":6}', 6),
        (b"{" + RESULT % (b"x" * 2000) + b',"id":6,"jsonrpc":"2.0"}\r', 6),
        (
            b'{"jsonrpc":"2.0","result":{"text":"' + b"x" * 2000 + b'","id":7}}',
            None,
        ),  # of the result, not of the answer
        (b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + b"x" * 2000 + b'"}}', None),
        (b"x" * 2000, None),
    ],
)
def test_a_line_that_is_too_long_tells_whose_answer_it_was(line: bytes, request_id: int | None, step: int):
    stream = line + b"\n" + line + b"\nnext\n"
    cutter = Lines(1000)

    found = [found for at in range(0, len(stream), step) for found in cutter.feed(stream[at : at + step])]

    assert found == [TooLong(request_id), TooLong(request_id), b"next"]


def test_an_id_that_comes_first_is_told_before_the_line_has_ended():
    cutter = Lines(1000)
    assert list(cutter.feed(b'{"jsonrpc":"2.0","id":5,"result":"' + b"x" * 1000)) == [TooLong(5)]
    assert list(cutter.feed(b"x" * 5000)) == []


def test_little_is_held_of_a_line_without_end():
    cutter = Lines(1000)
    for _ in range(100):
        assert list(cutter.feed(b"x" * 1000)) == []
    assert len(cutter._line) + len(cutter._tail or b"") <= KEPT
