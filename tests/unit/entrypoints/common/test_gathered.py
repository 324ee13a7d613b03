"""A text of many pieces."""

from chatorch.entrypoints.common.gathered import gathered


def test_what_is_given_whole_is_not_copied_for_each_piece():
    body: tuple[str, ...] = ()
    for _ in range(100_000):
        body = gathered(body, "abcd")
    assert "".join(body) == "abcd" * 100_000
    assert len(body) <= 20
