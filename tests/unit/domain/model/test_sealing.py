"""What is sealed opens with the one secret and for the one purpose, and tells nothing otherwise."""

import base64

import pytest

from chatorch.domain.model.sealing import sealed, unsealed

UNDER = "ek_" + "k" * 40
TEXT = "ek_a client secret"


@pytest.mark.parametrize("text", ["", "x", TEXT, "é😀" * 500])
def test_it_opens_as_it_was(text: str):
    assert unsealed(sealed(text, under=UNDER, purpose="cks_1"), under=UNDER, purpose="cks_1") == text


def test_another_secret_or_purpose_opens_nothing():
    box = sealed(TEXT, under=UNDER, purpose="cks_1")
    assert unsealed(box, under=UNDER[:-1], purpose="cks_1") is None
    assert unsealed(box, under=UNDER, purpose="cks_2") is None


def test_what_was_changed_anywhere_opens_nothing():
    raw = base64.b64decode(sealed(TEXT, under=UNDER, purpose="cks_1"))
    changed = [bytes([*raw[:i], raw[i] ^ 1, *raw[i + 1 :]]) for i in range(len(raw))]
    for other in (*changed, raw[:-1], raw[1:], raw[:31], b""):
        assert unsealed(base64.b64encode(other).decode(), under=UNDER, purpose="cks_1") is None


@pytest.mark.parametrize("box", ["", "!", "é", "ek_plain", "AAAA", "====", TEXT])
def test_what_is_no_box_opens_nothing(box: str):
    assert unsealed(box, under=UNDER, purpose="cks_1") is None


def test_the_text_is_not_in_it_and_each_purpose_hides_it_differently():
    boxes = {sealed(TEXT, under=UNDER, purpose=f"cks_{number}") for number in range(100)}
    assert len(boxes) == 100
    assert not any(TEXT.encode() in base64.b64decode(box) for box in boxes)
