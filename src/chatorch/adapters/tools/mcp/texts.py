"""What a server says, as text that may be stored and shown."""

import re

_UNFIT = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """Without NUL and lone surrogates, which no store holds."""
    return _UNFIT.sub("\ufffd", text)


def short(text: str, most: int) -> str:
    """`clean`, and at most so many characters."""
    return clean(text if len(text) <= most else f"{text[: most - 1]}…")
