"""What the strictest of providers insists on in the messages of a request. Standard library only, as its server is."""

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise


def objection(messages: Sequence[Mapping[str, str]], *, neighbours: bool = False) -> str | None:
    """What is wrong with ``{"role", "content"}`` messages, in a word or two; None where nothing is.

    `neighbours`: several of one role in a row are taken.
    """
    roles = [message["role"] for message in messages]
    said = roles[1:] if roles[:1] == ["system"] else roles
    if "system" in said:
        return "a system message that is not the first"
    if set(said) - {"user", "assistant"}:
        return "a role that is not known"
    if not said or said[0] != "user":
        return "does not begin with the user"
    if said[-1] != "user":
        return "does not end with the user"
    if not neighbours and any(one == following for one, following in pairwise(said)):
        return "two of one role in a row"
    if any(_nothing_in(message["content"]) for message in messages):
        return "a blank message"
    return None


def _nothing_in(content: str) -> bool:
    return all(unicodedata.category(character)[0] in "ZC" for character in content)
