"""The one spelling of a user name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.identity import canonical_username


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("ada", "ada"),
        ("Ada", "ada"),
        ("  ADA\n", "ada"),
        ("ａｄａ", "ada"),  # full width
        ("ﬁsh", "fish"),
        ("Straße", "strasse"),
        ("Ada Lovelace", "ada lovelace"),
        ("e\u0301va", "\u00e9va"),
        ("K", "k"),  # the sign of the unit kelvin
        ("x" * 64, "x" * 64),
    ],
)
def test_spellings_that_look_alike_are_one_name(raw: str, canonical: str):
    assert canonical_username(raw) == canonical


@pytest.mark.parametrize(
    "raw", ["", "   ", "\n", "a\0b", "a\nb", "a\u200bb", "\ud800", "a\x1b[31m", "x" * 65, "ﬃ" * 22, "a\u202eb"]
)
def test_what_cannot_be_printed_or_is_too_long_is_no_name(raw: str):
    with pytest.raises(InvalidField) as refusal:
        canonical_username(raw)
    assert refusal.value.field == "username"


@given(st.text(max_size=70))
def test_a_canonical_name_is_its_own_and_so_is_every_case_of_it(raw: str):
    try:
        name = canonical_username(raw)
    except InvalidField:
        return
    assert canonical_username(name) == name
    assert canonical_username(raw.casefold()) == name
    assert canonical_username(unicodedata.normalize("NFD", raw)) == name
    assert 1 <= len(name) <= 64
    assert name.isprintable()
