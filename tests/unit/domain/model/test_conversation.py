"""A thread's first title, and the guess at tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.conversation import MAX_TITLE_CHARS, estimate_tokens, title_from


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Hello", "Hello"),
        ("\n  \n  Why is\tthe   sky blue? \nAnd the sea?", "Why is the sky blue?"),
        ("a\0b\x1b[31mc", "ab[31mc"),
        ("", "New chat"),
        (" \n\t ", "New chat"),
        ("\u200b\0", "New chat"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("word " * 20, "word " * 14 + "word…"),
        ("ab " + "x" * 100, "ab " + "x" * 76 + "…"),
    ],
)
def test_a_title_is_the_first_line_with_something_in_it(content: str, title: str):
    assert title_from(content) == title


@given(st.text(max_size=300))
def test_a_title_is_always_one_printable_line_that_is_short_enough(content: str):
    title = title_from(content)
    assert 1 <= len(title) <= MAX_TITLE_CHARS
    assert title.isprintable()


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("🔑🔑", 2), ("\ud800", 1)])
def test_tokens_are_guessed_from_bytes(text: str, tokens: int):
    assert estimate_tokens(text) == tokens
