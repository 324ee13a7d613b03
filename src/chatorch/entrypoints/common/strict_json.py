"""JSON bodies taken strictly (RFC 8259): what no store could keep or no client could mean is a 422, never a 500.

Refused: text that is not UTF-8, lone surrogates, NUL, NaN and Infinity, numbers that no double can hold, nesting
deeper than 64, and more lists, objects and names than a request can mean. Of a name given twice the last counts, as
everywhere. A byte order mark before it is not looked at (8.1): some clients cannot help sending one.

All of this happens before anybody's token is looked at, so it must be cheap: what can be told from the bytes is.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MAX_DEPTH = 64
MAX_CONTAINERS = 20_000
"""Lists and objects in a body: each costs more than its two bytes, and the garbage collector's time with them."""
MAX_NAMES = 16
MAX_INNER_NAMES = 2500
"""In any object: all that metadata of 16 KiB can have."""
MAX_SEARCHED = 20_000
"""Commas in a body whose fault is still looked for; in a longer one the fault is the body's."""

_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")

_decode = msgspec.json.Decoder().decode

Path = tuple[int | str, ...]
_Place = tuple[Any, int | str] | None
"""A place in a value as the place around it and the last step: a path costs nothing until somebody asks for it."""


@dataclass(frozen=True, slots=True)
class Strictness:
    """`max_names` in an object outside of metadata, None for as many as any: pydantic makes an error of each name that
    it does not know. `max_member_names` in one that is a member of the body, which may be metadata."""

    max_names: int | None = MAX_NAMES
    max_member_names: int | None = None


STRICT = Strictness()


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `parse_json`. Use it as ``APIRouter(route_class=StrictRoute)``.

    A door whose clients send more than ours has a class of its own of it, with a `strictness` of its own.
    """

    strictness = STRICT

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        if self.body_field is None or isinstance(self.body_field.field_info, params.Form):
            return answer
        strictness = self.strictness

        async def answer_strictly(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            await strict.read(strictness)
            return await answer(strict)

        return answer_strictly


class _StrictRequest(Request):
    """Parses once, before FastAPI asks: what is raised inside its own reading of the body becomes a 400."""

    _parsed: Any = None

    async def read(self, strictness: Strictness) -> None:
        body = await self.body()
        if body:
            _require_json(self.headers.get("content-type", ""))
            self._parsed = parse_json(body, strictness)

    async def json(self) -> Any:
        return self._parsed


def parse_json(body: bytes, strictness: Strictness = STRICT) -> Any:
    """The value that `body` is. Raises `RequestValidationError`, with the path to the fault where it is inside."""
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if body.startswith(_OTHER_BOMS) or b"\0" in body[:4]:
        raise _refused((), "must be UTF-8; this looks like UTF-16 or UTF-32")
    brackets = _brackets(body) if body.count(b"[") + body.count(b"{") > MAX_DEPTH else b""
    if brackets.count(b"[") > MAX_CONTAINERS:
        raise _refused((), f"has more than {MAX_CONTAINERS} lists and objects")
    try:
        value = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _refused((), "is not valid JSON") from None
    except RecursionError:
        raise _refused((), f"is nested deeper than {MAX_DEPTH} levels") from None
    _require_shallow(brackets)
    # NUL cannot be in valid JSON but as this escape.
    if b"\\u0000" in body and b"\\u0000" in body.replace(b"\\\\", b""):
        if body.count(b",") <= MAX_SEARCHED:
            _require_no_nul(value)
        raise _refused((), "must not contain NUL")
    if strictness.max_names is not None:
        _require_few_names(value, strictness.max_names, strictness.max_member_names)
    if body.count(b":") > MAX_INNER_NAMES:
        _require_no_wide_object(value)
    return value


def _require_json(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise HTTPException(415)


def _brackets(body: bytes) -> bytes:
    """All brackets of a JSON text outside its strings, as square ones."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(unescaped.split(b'"')[::2]).translate(_TO_SQUARE, _NO_BRACKETS)


def _require_shallow(brackets: bytes) -> None:
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")  # takes the innermost level away, everywhere
    if brackets:
        raise _refused((), f"is nested deeper than {MAX_DEPTH} levels")


def _require_few_names(value: Any, most: int, most_of_member: int | None) -> None:
    """Of the object itself and of those in its lists; what lies deeper is metadata."""
    if not isinstance(value, dict):
        return
    if len(value) > most:
        raise _refused((), f"has more than {most} names")
    for name, inner in value.items():
        if most_of_member is not None and isinstance(inner, dict) and len(inner) > most_of_member:
            raise _refused((name,), f"has more than {most_of_member} names")
        for index, item in enumerate(inner if isinstance(inner, list) else ()):
            if isinstance(item, dict) and len(item) > most:
                raise _refused((name, index), f"has more than {most} names")


def _require_no_wide_object(value: Any) -> None:
    waiting: list[tuple[_Place, Any]] = [(None, value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, dict):
            if len(item) > MAX_INNER_NAMES:
                raise _refused(_path(place), f"has more than {MAX_INNER_NAMES} names")
            waiting.extend([((place, name), inner) for name, inner in item.items() if isinstance(inner, (dict, list))])
        else:
            waiting.extend([((place, at), inner) for at, inner in enumerate(item) if isinstance(inner, (dict, list))])


def _require_no_nul(value: Any) -> None:
    waiting: list[tuple[_Place, Any]] = [(None, value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise _refused(_path(place), "must not contain NUL")
        elif isinstance(item, dict):
            if any("\0" in name for name in item):
                raise _refused(_path(place), "has a name that contains NUL")
            waiting.extend([((place, name), inner) for name, inner in item.items()])
        elif isinstance(item, list):
            waiting.extend([((place, index), inner) for index, inner in enumerate(item)])


def _path(place: "_Place") -> Path:
    parts: list[int | str] = []
    while place is not None:
        place, part = place
        parts.append(part)
    return tuple(reversed(parts))


def _refused(path: Path, problem: str) -> RequestValidationError:
    return RequestValidationError([{"type": "json_refused", "loc": ("body", *path), "msg": problem}])
