"""What the strictest of providers insists on in a request. Standard library only, as its server is."""

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any


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


def calls_objection(messages: Sequence[tuple[str, Sequence[str], str | None]]) -> str | None:
    """As `objection`, of the role, the ids of the calls, and the id of the call that is answered, of each message:
    behind a message with calls each of them is answered, once, before anything else is said."""
    waiting: list[str] = []
    for role, calls, answers in messages:
        if answers is not None:
            if answers not in waiting:
                return "an answer to no call before it"
            waiting.remove(answers)
        elif waiting:
            return "a call that is not answered"
        if role != "tool" and answers is not None:
            return "an answer of another role"
        waiting += calls
        if len(set(waiting)) < len(waiting):
            return "two calls of one id in a step"
    if waiting:
        return "a call that is not answered"
    if messages[-1][0] not in ("user", "tool"):
        return "does not end with what is to be answered"
    return None


def refusal(body: Mapping[str, Any], word: str = "", members: Sequence[str] = ()) -> dict[str, Any] | None:
    """The error object for a request to which there is an `objection`, or with this word, or one of these members."""
    param, problem = "messages", objection(body["messages"])
    if problem is None and word and any(word in message["content"] for message in body["messages"]):
        problem = "a word that is not allowed"
    for member in members:
        if member in body:
            param, problem = member, f"Unrecognized request argument supplied: {member}"
    if problem is None:
        return None
    return {"error": {"message": problem, "type": "invalid_request_error", "param": param, "code": None}}


def _nothing_in(content: str) -> bool:
    return all(unicodedata.category(character)[0] in "ZC" for character in content)
