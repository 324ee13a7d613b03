"""Which messages the model gets to see."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.context import ContextWindow, PromptMessage
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, ThreadId

AT = datetime(2026, 1, 2, tzinfo=UTC)


def conversation(*contents: str) -> list[Message]:
    """User and assistant in turn, the user last."""
    return [
        Message(
            id=MessageId(f"msg_{position}"),
            thread_id=ThreadId("thr_1"),
            position=position,
            role=Role.USER if (len(contents) - position) % 2 else Role.ASSISTANT,
            content=content,
            status=MessageStatus.COMPLETE,
            created_at=AT,
        )
        for position, content in enumerate(contents)
    ]


def seen(window: ContextWindow, *contents: str) -> list[str]:
    return [message.content for message in window.select(conversation(*contents))]


def test_all_that_fits_is_seen_in_order_with_its_roles():
    assert ContextWindow(100).select(conversation("Hi", "Hello", "Bye")) == (
        PromptMessage(Role.USER, "Hi"),
        PromptMessage(Role.ASSISTANT, "Hello"),
        PromptMessage(Role.USER, "Bye"),
    )


def test_the_oldest_leave_first_and_none_is_cut():
    assert seen(ContextWindow(8), "aaaa", "bbbb", "cccc") == ["bbbb", "cccc"]
    assert seen(ContextWindow(7), "aaaa", "bbbb", "cccc") == ["cccc"]


def test_a_short_message_behind_a_long_one_does_not_jump_the_gap():
    assert seen(ContextWindow(9), "a", "bbbbbbbbb", "c") == ["c"]


def test_the_newest_is_seen_however_long():
    assert seen(ContextWindow(1), "a", "b", "c" * 50) == ["c" * 50]


def test_the_system_prompt_comes_first_and_is_not_counted():
    selected = ContextWindow(4, "Be brief.").select(conversation("aaaa", "bbbb", "cccc"))
    assert selected == (PromptMessage(Role.SYSTEM, "Be brief."), PromptMessage(Role.USER, "cccc"))


def test_an_answer_that_never_got_a_word_out_is_not_shown():
    assert seen(ContextWindow(100), "Hi", "", "Hello?") == ["Hi", "Hello?"]


def test_characters_are_counted_and_not_bytes():
    assert seen(ContextWindow(4), "🔑🔑", "ññ") == ["🔑🔑", "ññ"]


@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=12), st.integers(0, 60))
def test_what_is_seen_is_the_longest_end_of_the_thread_that_fits(contents: list[str], limit: int):
    chosen = seen(ContextWindow(limit), *contents)
    assert chosen == contents[len(contents) - len(chosen) :]
    assert chosen
    assert len(chosen) == 1 or sum(map(len, chosen)) <= limit
    if len(chosen) < len(contents):
        assert sum(map(len, contents[-len(chosen) - 1 :])) > limit
