"""What the encoder of responses tells, as bytes, and what it has told."""

import msgspec

from chatorch.entrypoints.openai.responses.items import Item

_encode = msgspec.json.Encoder().encode


class Said:
    """The text of an item, as far as any follower was told it: all of them are told the same, and add what is new."""

    __slots__ = ("chars", "pieces")

    def __init__(self, text: str = "") -> None:
        self.pieces = [text]
        self.chars = len(text)

    def add(self, at: int, text: str) -> None:
        """What stands behind so many characters, of which others may have said a part, or all."""
        if (new := at + len(text) - self.chars) > 0:
            self.pieces.append(text[-new:])
            self.chars += new

    def upto(self, chars: int) -> str:
        self.pieces = ["".join(self.pieces)]
        return self.pieces[0][:chars]


def frame(kind: str, data: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(data))


def delta_form(item: Item, place: int) -> bytes:
    """What `%` makes an event of a piece of text with, `_encode`d, and its number."""
    head = _encode({"type": item.delta, **item.where(place)})[:-1].replace(b"%", b"%%")
    extra = item.delta_extra
    return b"event: %b\ndata: %b" % (item.delta.encode(), head) + b',"delta":%b' + extra + b',"sequence_number":%d}\n\n'
