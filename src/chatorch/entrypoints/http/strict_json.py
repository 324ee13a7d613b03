"""JSON bodies taken strictly (RFC 8259): what no store could keep or no client could mean is a 422, never a 500.

Refused: text that is not UTF-8, lone surrogates, NUL, NaN and Infinity, numbers that no double can hold, and nesting
deeper than 64. Of a name given twice the last counts, as everywhere.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MAX_DEPTH = 64

_decode = msgspec.json.Decoder().decode

Path = tuple[int | str, ...]
_Place = tuple[Any, int | str] | None
"""A place in a value as the place around it and the last step: a path costs nothing until somebody asks for it."""


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `parse_json`. Use it as ``APIRouter(route_class=StrictRoute)``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        if self.body_field is None or isinstance(self.body_field.field_info, params.Form):
            return answer

        async def answer_strictly(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            await strict.read()
            return await answer(strict)

        return answer_strictly


class _StrictRequest(Request):
    """Parses once, before FastAPI asks: what is raised inside its own reading of the body becomes a 400."""

    _parsed: Any = None

    async def read(self) -> None:
        body = await self.body()
        if body:
            _require_json(self.headers.get("content-type", ""))
            self._parsed = parse_json(body)

    async def json(self) -> Any:
        return self._parsed


def parse_json(body: bytes) -> Any:
    """The value that `body` is. Raises `RequestValidationError`, with the path to the fault where it is inside."""
    try:
        value = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _refused((), "is not valid JSON") from None
    except RecursionError:
        raise _refused((), f"is nested deeper than {MAX_DEPTH} levels") from None
    # NUL cannot be in valid JSON but as this escape, and so many levels take so many brackets.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _require_shallow(value)
    if b"\\u0000" in body:
        _require_no_nul(value)
    return value


def _require_json(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise HTTPException(415)


def _require_shallow(value: Any) -> None:
    """Level by level, and without paths: this is done before anybody's token is looked at."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _refused((), f"is nested deeper than {MAX_DEPTH} levels")
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = [item for item in inner if isinstance(item, dict | list)]


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
