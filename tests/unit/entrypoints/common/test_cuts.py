"""Pieces of text are a function of the text, however it came."""

import random

from chatorch.entrypoints.common.cuts import MOST_CHARS, Cuts

ALPHABET = "ab🙂é \n\t\u00a0"


def cut(*parts: str) -> list[str]:
    cuts = Cuts()
    pieces = [piece for part in parts for piece in cuts.feed(part)]
    return [*pieces, *filter(None, [cuts.flush()])]


def test_a_piece_ends_behind_white_space_or_after_so_many_code_points():
    assert cut("The tides  follow\n\nthe moon.") == ["The ", "tides  ", "follow\n\n", "the ", "moon."]
    assert cut("x" * 70) == ["x" * 32, "x" * 32, "x" * 6]
    assert cut(" " * 40 + "x") == [" " * 32, " " * 8, "x"]
    assert cut("") == []


def test_however_a_text_comes_it_is_cut_at_the_same_places():
    chance = random.Random(4711)
    for _ in range(1000):
        text = "".join(chance.choices(ALPHABET, k=chance.randrange(200)))
        places = sorted(chance.choices(range(len(text) + 1), k=chance.randrange(40)))
        parts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        assert cut(*parts) == cut(text) == cut(*text)
        assert "".join(cut(*parts)) == text
        assert all(1 <= len(piece) <= MOST_CHARS for piece in cut(text))


def test_what_is_given_live_is_never_more_than_a_piece_behind():
    cuts, given = Cuts(), 0
    for number, letter in enumerate("a" * 100 + " b" * 50, 1):
        given += sum(map(len, cuts.feed(letter)))
        assert number - given <= MOST_CHARS
