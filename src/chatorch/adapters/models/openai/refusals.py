"""Which of our optional members a provider refuses, as the body of its 400 or 422 names them.

Servers have no common way to say it: OpenAI's ``param``, FastAPI's ``loc``, keys of an object of errors, or a sentence
in whatever member, or in HTML. To miss it costs every chat with that provider; to find what was not meant costs one
more request where the first one failed anyway. So a mention of ``stream_options`` is enough. ``stream`` and ``user``
are ordinary words, and without streaming nobody sees an answer before its end: they must be named as refused.
"""

import html
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Set
from typing import Any

STREAM = "stream"
STREAM_OPTIONS = "stream_options"
USER = "user"
OPTIONAL = frozenset({STREAM, STREAM_OPTIONS, USER})

MAX_BYTES = 16 * 1024

_ECHOES = frozenset("content ctx input input_value inputs messages prompt received request url".split())  # noqa: SIM905
"""Members of an error that may repeat the request, and so what somebody said."""

_POINTERS = frozenset("additionalproperty argument field keys loc param parameter pointer property".split())  # noqa: SIM905
"""Members of an error whose value is the name of what is wrong."""

_OTHERWISE = re.compile(r"\b(?:expected one of|(?:accepted|allowed|known|supported|valid) (?:fields|parameters)\b).*")
"""From here on, a text tells what would be right."""

_QUOTE = r"""["'`\[(“]"""
_STREAM = "(?:non-?)?stream(?:ing|ed)?"
_MENTIONED = {
    STREAM_OPTIONS: re.compile(r"\bstream[_ -]?options\b|\binclude_usage\b"),
    STREAM: re.compile(
        rf"""(?<![\w.-]){_STREAM}(?![\w]|[_\ -]options)[^.;]{{0,40}}?\b(?:cannot|disabled|false|not|un\w+)\b
        |(?:\b(?:can't|cannot|disabled|extra|field|no|not|only|parameter|un\w+|verified)\b|n't)[^.;]{{0,40}}?(?<![\w.-])
        {_STREAM}(?!\w|[_\ -]options|\ mode)
        |parameter\ 'stream'|(?<![\w.-])stream:?\s\s*extra""",
        re.VERBOSE,
    ),
    USER: re.compile(
        rf"""\b(?:additional\ properties|arg(?:ument)?|extra|field|in\ object|loc|name|option|param(?:eter)?|property)
        (?:s|\(s\))?\b[^.\n]{{0,60}}?(?<![\w.-])user(?![\w./-])
        |(?<![\w.-])user{_QUOTE}?:?\s\s*extra
        |(?<![\w.-])user\ is\ not\ an?\ (?:\w+\ )?(?:arg|field|option|param|property)
        |{_QUOTE}user["'`\])”]\s(?:is|was|were)\ (?:not\ |un)""",
        re.VERBOSE,
    ),
}
_OF_PEOPLE = re.compile(r"\b(?:account|alternat\w+|assistant|messages?\b(?! -|\.)|quota|roles?|turns?)\b")


class RefusedMembers:
    """What is known of the models of one provider: of the `limit` that were asked last."""

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()

    def of(self, model: str) -> frozenset[str]:
        known = self._known.get(model)
        if known is None:
            return frozenset()
        self._known.move_to_end(model)
        return known

    def learn(self, model: str, members: frozenset[str]) -> bool:
        """Whether that is news."""
        known = self.of(model)
        if members <= known:
            return False
        self._known[model] = known | members
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return True


def refused_members(content: bytes, members: Set[str]) -> frozenset[str]:
    """Those of `members` that an error's body names.

    ``stream`` only where it is alone: it is the dearest to miss, and "`stream_options` needs `stream`" names both.
    """
    if len(content) > MAX_BYTES:
        return frozenset()
    texts = list(_texts_in(content.decode("utf-8-sig", "replace")))
    found = {name for name in members for text in texts if _mentions(text, name)}
    return frozenset(found - {STREAM} or found)


def _mentions(text: str, name: str) -> bool:
    plain = html.unescape(text).replace("\\n", "\n").replace("\\", "").lower()
    plain = _OTHERWISE.sub("", plain)
    return bool(_MENTIONED[name].search(plain)) and not (name == USER and _OF_PEOPLE.search(plain))


def _texts_in(body: str) -> Iterator[str]:
    """What an error says, pointers as ``parameter 'name'``; nothing of what it repeats."""
    waiting: list[tuple[str, Any]] = [("", body)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str) and (inner := _json(value)) is not None:
            value = inner
        match value:
            case str() if key in _POINTERS and value.strip():
                yield f"parameter '{_name_in(value)}'"
            case str():
                yield value
            case list() if key == "loc":
                path = [part for part in value if isinstance(part, str)]
                yield f"parameter '{next((part for part in path if part in OPTIONAL | {'messages'}), '')}'"
            case list():
                waiting.extend((key, item) for item in value)
            case dict():
                waiting.extend((name.lower(), item) for name, item in value.items() if name.lower() not in _ECHOES)
                yield from (f"parameter '{name}'" for name in OPTIONAL & value.keys() if _is_complaint(value[name]))


def _name_in(pointer: str) -> str:
    """Of ``body.user``, ``/user`` or ``#/streamOptions.x`` the member of the request."""
    words = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower() for word in re.findall(r"\w+", pointer)]
    return next((word for word in words if word not in {"body", "request", "root"}), "")


def _is_complaint(value: Any) -> bool:
    """What stands under a member's own name: ``["Unknown field."]``, say, but not what was sent under it."""
    said = value[0] if isinstance(value, list) and value else value
    return isinstance(said, str) and " " in said


def _json(text: str) -> Any:
    """The object, list or text that a text holds as JSON; None where it is a text and no more."""
    text = text.strip().removeprefix("data:").strip()
    if not text.startswith(("{", "[", '"')):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list | str) else None
