"""What a server says, as text that may be stored and shown."""

from chatorch.domain.model.text import storable_text


def short(text: str, most: int) -> str:
    """What all stores can hold, and at most so many characters."""
    return storable_text(text if len(text) <= most else f"{text[: most - 1]}…")
