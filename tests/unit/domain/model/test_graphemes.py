"""What a reader takes for one character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.graphemes import graphemes

WHOLE = {
    "family": "👨‍👩‍👧‍👦",
    "family with skin tones": "👩🏽‍❤️‍💋‍👨🏿",
    "flag of a country": "🇩🇪",
    "flag of England": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "pirates": "🏴‍☠️",
    "keycap": "1\ufe0f\u20e3",
    "heart": "❤️",
    "thumb": "👍🏾",
    "accents": "e\u0301\u0323",
    "many accents": "Z" + "\u0335\u0344\u0310" * 10,
    "devanagari": "क्षि",
    "devanagari, joined by hand": "र्‍य",
    "tamil": "நி",
    "thai": "กำ",
    "hangul in letters": "\u1100\u1161\u11a8",
    "hangul": "한",
    "hangul and a last letter": "\uac00\u11a8",
    "ideographic variation": "葛\U000e0100",
    "arabic number sign": "\u0600\u0661",
    "halfwidth katakana": "ｶﾞ",
}


@pytest.mark.parametrize("sign", WHOLE.values(), ids=WHOLE.keys())
def test_a_sign_is_one(sign: str):
    assert list(graphemes(sign)) == [sign]
    assert list(graphemes(f"a{sign}b")) == ["a", sign, "b"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("abc", 3),
        ("🇩🇪🇫🇷🇮", 3),
        ("👍👍🏾", 2),
        ("한국어", 3),
        ("日本", 2),
        ("ab\u0301c", 3),
        ("می\u200cخواهم", 7),
    ],
)
def test_signs_are_told_apart(text: str, count: int):
    assert len(list(graphemes(text))) == count


@given(
    st.text(
        st.sampled_from("ab \u0301\u200d\u200c\ufe0f🇩🇪👩🏽❤\u094d\u0915\u1100\u1161\u11a8\uac00\U000e0067"), max_size=60
    )
)
def test_nothing_is_lost_and_no_mark_stands_alone(text: str):
    found = list(graphemes(text))
    assert "".join(found) == text
    assert not [cluster for cluster in found[1:] if cluster[0] in "\u0301\u200d\u200c\ufe0f\u094d🏽\U000e0067"]
