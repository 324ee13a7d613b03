"""A thread's first title, what is blank, and the guess at tokens."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.conversation import estimate_tokens
from chatorch.domain.model.graphemes import graphemes
from chatorch.domain.model.text import blank, storable_text
from chatorch.domain.model.titles import MAX_TITLE_CHARS, title_from


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
        ("a \0 b", "a b"),
        ("\u200b\u200d\ufe0f\nseen", "seen"),
        ("a\u2028b", "a"),
        ("Z" + "\u0301" * 100, "New chat"),
        ("x Z" + "\u0301" * 100, "x …"),
    ],
)
def test_a_title_is_the_first_line_with_something_in_it(content: str, title: str):
    assert title_from(content) == title


ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
FAMILY = "👨‍👩‍👧‍👦"
SIGNS = {
    "joined by nothing": "می\u200cخواهم",
    "family": FAMILY,
    "england": ENGLAND,
    "country": "🇩🇪",
    "heart": "❤️",
    "text, not emoji": "☎\ufe0e",
    "skin": "👍🏾",
    "keycap": "3\ufe0f\u20e3",
    "accent": "e\u0301",
    "variation": "葛\U000e0100",
    "conjunct": "क्‍ष",
    "marks of direction": "abc\u200e\u05d0\u200f\u061c",
    "soft hyphen": "Donau\u00addampf",
    "khmer words": "ខ្ញុំ\u200bស្រលាញ់",
    "emoji of 2022 and later": "\U0001fae8\U0001fadc\U0001fac8",
    "private": "\uf8ff",
}


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS.keys())
def test_a_title_keeps_what_a_sign_is_made_of(sign: str):
    assert title_from(f"How {sign} is it?\nMore") == f"How {sign} is it?"
    assert title_from(sign) == sign


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS.keys())
@pytest.mark.parametrize("before", range(60, 81))
def test_a_title_ends_before_a_sign_or_behind_it(sign: str, before: int):
    title = title_from("x" * before + sign + "y" * 80)
    assert len(title) <= MAX_TITLE_CHARS
    cut = title.removesuffix("…").removeprefix("x" * min(before, 79)).rstrip("y")
    assert cut == "".join(list(graphemes(sign))[: len(list(graphemes(cut)))])


@pytest.mark.parametrize(
    "hidden",
    [
        *("\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\ufeff"),
        *("\0", "\x1b", "\x7f", "\x9b", "\ud800", "\U000e0001", "\ufff9", "\U000e0048\U000e0069", "\uffff"),
    ],
)
def test_a_title_hides_nothing_and_turns_nothing_around(hidden: str):
    assert title_from(f"a{hidden}b") == "ab"
    assert title_from(hidden) == "New chat"


PIECES = st.sampled_from(
    [*SIGNS.values(), "\u202e", "\0", "\n", "\u2028", "\r", "\x85", " ", "word ", "\u0301", "\u200d"]
)


@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join)))
def test_a_title_is_always_one_line_that_is_short_enough(content: str):
    title = title_from(content)
    assert 1 <= len(title) <= MAX_TITLE_CHARS
    assert title.splitlines() == [title]
    assert not [c for c in title if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in "\u202e\u2066"]
    assert title == title.strip()


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("🔑🔑", 2), ("\ud800", 1)])
def test_tokens_are_guessed_from_bytes(text: str, tokens: int):
    assert estimate_tokens(text) == tokens


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\r\v\f ",
        "\u00a0\u2003\u3000\u202f\u205f\u1680",
        "\u2028\u2029\x85",
        "\u200b\u200c\u200d\u2060\ufeff\u180e",
        "\u00ad",
        "\u202e \u2066\u2069",
        "\x01\x1b\x7f",
        "\U000e0067\U000e007f",
        "\ufe0f\U000e0100",
        "\u2800\u3164\u115f\u1160\uffa0",
        "\u034f",
        " " * 5000 + "\u200b",
    ],
)
def test_a_text_of_which_nothing_can_be_seen_is_blank(text: str):
    assert blank(text)


@pytest.mark.parametrize(
    "text",
    [
        ".",
        " \n x",
        "\u200b\u200b0",
        "👨\u200d👩\u200d👧",
        "❤\ufe0f",
        "🏴\U000e0067\U000e0062\U000e007f",
        "می\u200cخواهم",
        "\u0301",
        "\u06dd",
        "\u0600",
        "\ufffd",
        "한",
        "⠁",
    ],
)
def test_a_text_with_anything_to_see_is_not(text: str):
    assert not blank(text)


@given(st.text(st.characters(codec=None)))
def test_what_is_made_storable_is_as_long_and_can_be_encoded(text: str):
    made = storable_text(text)
    made.encode()
    assert "\0" not in made
    assert len(made) <= len(text)
    assert storable_text(made) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [("plain", "plain"), ("a\0b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("\ud83dx", "\ufffdx"), ("é\udc00", "é\ufffd")],
)
def test_halves_become_one_character_or_what_stands_for_one(text: str, made: str):
    assert storable_text(text) == made
