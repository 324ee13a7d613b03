"""Cursors come back as they went out, and nothing else is taken for one."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.paging import MessageCursor, Page, ThreadCursor

ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
times = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
DECODERS = [ThreadCursor.decode, MessageCursor.decode, HostedCursor.decode]


def token(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(times, ids)
def test_a_thread_cursor_comes_back_as_it_went_out(at: datetime, id_: str):
    cursor = ThreadCursor(at, id_)
    assert ThreadCursor.decode(cursor.encode()) == cursor


@given(st.integers(0, 2**31 - 1))
def test_a_message_cursor_comes_back_as_it_went_out(position: int):
    assert MessageCursor.decode(MessageCursor(position).encode()) == MessageCursor(position)


def test_a_cursor_of_another_time_zone_is_the_same_place():
    at = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert ThreadCursor(at, "thr_1").encode() == ThreadCursor(at.astimezone(UTC), "thr_1").encode()


@given(times, ids, st.integers(0, 2**31 - 1))
def test_a_cursor_goes_into_a_url_as_it_is(at: datetime, id_: str, position: int):
    for encoded in (ThreadCursor(at, id_).encode(), MessageCursor(position).encode()):
        assert set(encoded) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("decode", DECODERS)
@given(st.one_of(st.text(), st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_what_no_list_gave_out_names_the_parameter_and_does_not_repeat_it(decode, text: str):
    with pytest.raises(InvalidField) as refusal:
        decode(text)
    assert refusal.value.field == "after"
    assert len(text) < 5 or text not in refusal.value.detail


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "t",
        [],
        {},
        ["t"],
        ["m"],
        ["x", 1],
        ["m", 1, 2],
        ["m", -1],
        ["m", 2**31],
        ["m", 1.0],
        ["h", "../x"],
        ["h", 1],
        ["h", "x" * 129],
        ["m", True],
        ["m", "1"],
        ["m", 10**400],
        ["t", "2026-01-02T00:00:00", "thr_1"],
        ["t", "yesterday", "thr_1"],
        ["t", 1, "thr_1"],
        ["t", "2026-01-02T00:00:00+00:00", 1],
        ["t", "2026-01-02T00:00:00+00:00", "\0"],
    ],
)
def test_json_of_another_shape_is_no_cursor(value: object):
    for decode in DECODERS:
        with pytest.raises(InvalidField):
            decode(token(value))


def test_nor_is_json_that_is_too_deep_or_numbers_too_long():
    for raw in (b"[" * 5000, b'["m",' + b"1" * 5000 + b"]", b'["m",NaN]'):
        with pytest.raises(InvalidField):
            MessageCursor.decode(base64.urlsafe_b64encode(raw).decode().rstrip("="))


def test_the_cursor_of_one_list_is_none_for_the_other():
    with pytest.raises(InvalidField):
        ThreadCursor.decode(MessageCursor(1).encode())
    with pytest.raises(InvalidField):
        MessageCursor.decode(ThreadCursor(datetime(2026, 1, 2, tzinfo=UTC), "thr_1").encode())


def test_a_page_has_more_where_it_has_a_cursor():
    assert Page((1,), "x").has_more
    assert not Page((1,)).has_more
