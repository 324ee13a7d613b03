"""Which of our optional members a provider refuses, as the body of its 400 or 422 names them.

Servers have no common way to say it: OpenAI's ``param``, FastAPI's ``loc``, keys of an object of errors, or a sentence
in whatever member, or in HTML. ``stream_options`` is nobody's ordinary word, so a word of refusal in the same text is
enough. ``user`` and ``stream`` are ordinary ("roles must alternate user/assistant"), so a sentence must name them as
one names a parameter.
"""

import html
import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Any

STREAM = "stream"
STREAM_OPTIONS = "stream_options"
USER = "user"
OPTIONAL = frozenset({STREAM, STREAM_OPTIONS, USER})

MAX_BYTES = 16 * 1024
MAX_PLACES = 32

_ECHOES = frozenset(
    {"content", "ctx", "input", "input_value", "inputs", "messages", "prompt", "received", "request", "url"}
)
"""Members of an error that may repeat the request, and so what somebody said."""

_PATHS = frozenset({"additionalproperty", "argument", "field", "loc", "param", "parameter", "pointer", "property"})
_NAMES = frozenset({"fields", "keys", "parameters", "params"})
_AROUND = frozenset({"body", "data", "json", "query", "request", "root", "__root__"})
"""What a path to a member of the request may begin with."""

_UNFIT = r"\b(?:un(?:known|recogni[sz]ed|supported|expected|permitted|defined)|invalid|illegal|forbidden|disallowed)\b"
_NOT = (
    r"\b(?:cannot|can['’]t|not"
    r"|(?:are|be|can|could|did|do|does|has|have|is|may|must|should|was|were)(?:n['’]t| not))"
)
_FIT = (
    r"(?:accept|allow|available|define|exist|expect|implement|mapped|permit|permitted|recogni[sz]e|support|understood"
    r"|valid)[deors]{0,3}\b"
)
_REFUSAL = re.compile(
    rf"{_UNFIT}|{_NOT}(?: \w+){{0,2}} {_FIT}|\bextra(?:neous)? |\bno such |\badditional propert"
    r"|\bonly (?:be )?(?:accept|allow|define|set|support|use|valid)|不支持|无效|未知"
)
_NOUN = r"\b(?:extra inputs?|arg(?:ument)?s?|attributes?|fields?|options?|param(?:eter)?s?|propert(?:y|ies))\b"
_ANY_NOUN = re.compile(rf"{_NOUN}|\b(?:elements?|keys?|keywords?|members?|names?)\b")
_OTHERWISE = re.compile(
    r"\b(?:expected|expecting|must be|should be) (?:any |one )?of\b|\b(?:did you mean|perhaps you meant)\b"
    r"|\b(?:accepted|allowed|available|known|permitted|supported|valid) (?:\w+ )?"
    r"(?:arguments|fields|keys|names|options|parameters|properties|values)\s*(?:\w+ )?(?::|are\b|include\b)"
)
"""From here on, a text tells what would be right."""

_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)|\n(?=\S)")
_OPENED, _CLOSED = re.compile(r"[\"'`“‘«\[({<*]$"), re.compile(r"[\"'`”’»\])}>*]")
_NOUN_BEFORE = re.compile(rf"{_NOUN}(?:\(s\))? $")
_ITEM_BEFORE = re.compile(r"(?:^|[:=,([{>]|\band)\s*$")
_ITEM_AFTER = re.compile(rf"\s*(?:$|[:,)\]}}\n])| (?:is|was) not an? (?:\w+ ){{0,2}}?{_NOUN}")
_REFUSED_AFTER = re.compile(rf"[\"'`”’»\])}}>*]\s*:?\s*(?:(?:is|was|were|are) )?(?:{_UNFIT}|{_NOT} (?:a |yet )?{_FIT})")
_OF_PEOPLE = re.compile(r"\b(?:account|alternat\w+|assistant|messages?|quota|roles?|turns?)\b")
_ON = r"(?:support|allow|available|enable|implement|permit|possible|permitted)(?:e?d|s)?\b"
_NO_STREAMS = re.compile(
    r"\bstream(?:ing)?\b['\"`]?(?: (?:mode|option|output|parameter|requests?|responses?))?"
    r"\s*(?:[=:]\s*true\b['\"`]?)?\s*"
    rf"(?:(?:is|are) )?(?:unsupported|disabled|disallowed|unavailable|forbidden|{_NOT} (?:\w+ )?{_ON}"
    r"|(?:must|should) be (?:set to )?false)"
    rf"|{_NOT} (?:(?:\w+ )?{_ON} )?(?:for |in |the |with )?['\"`]?stream(?:ing)?\b(?!\s+(?:of|tool|function))"
    r"|\bunsupported[^.]{0,20}\bstreaming\b|\bonly (?:\w+ )?non-?stream|\bverified to stream\b"
)
_MARKUP = re.compile(r"<(?:!doctype|html|body|h\d|p|pre|title)\b", re.IGNORECASE)


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


@dataclass(slots=True)
class _Said:
    """An error's body, taken apart: the `names` that it points at, and its `texts`, in lower case."""

    names: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)


def refused_members(content: bytes, members: Set[str]) -> frozenset[str]:
    """Those of `members` that an error's body names as refused.

    ``stream`` only where it is alone: it is the dearest to miss, and "`stream_options` needs `stream`" names both.
    """
    if len(content) > MAX_BYTES:
        return frozenset()
    said = _taken_apart(content.decode("utf-8-sig", "replace"), members)
    found = said.names & members
    of_others = not found and bool(said.names)
    for text in said.texts:
        found |= {name for name in members - found if _refuses(text, name, of_others=of_others)}
    return frozenset(found - {STREAM} or found)


def _refuses(text: str, name: str, *, of_others: bool) -> bool:
    """`of_others`: the body points at members of the request, and at none of ours."""
    if name == STREAM_OPTIONS:
        return re.search(r"\bstream(?:_| )?options\b", text) is not None and _REFUSAL.search(text) is not None
    if name == STREAM and _NO_STREAMS.search(text):
        return True
    return not of_others and any(_names(sentence, name) for sentence in _SENTENCE_END.split(text))


def _names(sentence: str, name: str) -> bool:
    """Whether a sentence of refusal names it as a parameter: in quotes, behind the noun, or as an item of a list."""
    if not _REFUSAL.search(sentence) or (name == USER and _OF_PEOPLE.search(sentence)):
        return False
    noun, strict_noun = _ANY_NOUN.search(sentence), re.search(_NOUN, sentence)
    places = re.finditer(rf"(?<![\w.-]){name}(?![\w-]|\.\w)|\bbody(?:\.| -> ){name}\b", sentence)
    for place, _ in zip(places, range(MAX_PLACES), strict=False):
        before, after = sentence[: place.start()], sentence[place.end() :]
        if _OPENED.search(before) and _CLOSED.match(after):
            if noun or _REFUSED_AFTER.match(after):
                return True
        elif strict_noun and (
            _NOUN_BEFORE.search(before) or (_ITEM_BEFORE.search(before) and _ITEM_AFTER.match(after))
        ):
            return True
    return False


def _taken_apart(body: str, members: Set[str]) -> _Said:
    said = _Said()
    waiting: list[tuple[str, Any]] = [("", body)]
    while waiting:
        key, value = waiting.pop()
        inner = _json(value) if isinstance(value, str) else None
        match value:
            case str() if inner is not None:
                waiting.append((key, inner))
            case str() if key in _PATHS and " " not in value:
                said.names |= _pointed_at(re.findall(r"\w+", value), members)
            case str() if key in _NAMES and value.isidentifier():
                said.names.add(_snake(value))
            case str():
                said.texts.append(_plain(value, whole=not key))
            case list() if key == "loc":
                said.names |= _pointed_at(value, members)
            case list():
                waiting.extend((key, item) for item in value)
            case dict():
                told = {name.lower(): item for name, item in value.items() if name.lower() not in _ECHOES}
                said.names |= {name for name in members & told.keys() if _is_complaint(told[name])}
                waiting.extend(told.items())
    return said


def _pointed_at(path: Iterable[Any], members: Set[str]) -> set[str]:
    """The member of the request that a path leads to, from the body down; none of what is inside a message."""
    first: set[str] = set()
    for part in path:
        if not isinstance(part, str) or part.isdecimal():
            break
        name = _snake(part)
        if name in members:
            return {name}
        if not first and name not in _AROUND:
            first.add(name)
        if name == "messages":
            break
    return first


def _is_complaint(value: Any) -> bool:
    """What stands under a member's own name: ``["Unknown field."]``, say, but not what was sent under it."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, str) for item in value)
    texts = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(text, str) and _REFUSAL.search(text.lower()) for text in texts)


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


def _plain(text: str, *, whole: bool) -> str:
    if whole and _MARKUP.search(text):
        text = re.sub(r"<[^<>]{1,200}>", " ", text)
    text = html.unescape(text).replace("\\n", "\n").replace("\\", "").lower()
    return _OTHERWISE.split(text, maxsplit=1)[0]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
