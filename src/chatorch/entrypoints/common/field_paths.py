"""Naming what is wrong in a request without repeating anything that the client wrote."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

ANY = "*"
PLACES = frozenset({"body", "query", "path", "header", "cookie"})

_PARAMETER = re.compile(r"[A-Za-z]{1,24}(?:_[A-Za-z]{1,24}){0,4}")
"""Words. A key or a token that somebody put there by mistake has digits in it."""
_TAG = re.compile(r"\([a-z_]+\)")
"""Of which kind a value was taken to be, where it may be of several."""
_SHOULD = re.compile(r"^(?:Input|String|List|Dictionary|Value|Set|Tuple|Number|Data) should ")


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The names that a door's own schemas give to fields: only these (`known`) may appear in its answers.

    `unsuggested` are those among them that are never what somebody meant who misspelt one.
    """

    known: frozenset[str] = frozenset()
    unsuggested: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, *requests: type[BaseModel], forms: Iterable[type[BaseModel]] = (), elsewhere: Iterable[str] = ()
    ) -> "FieldNames":
        """Those of `requests`, and of what is in them.

        Not suggested are those of `forms`, which ignore unknown fields, and names of other doors that clients may take
        for ours (`elsewhere`).
        """
        meant, beside = set(_names(requests)), {*_names(forms), *elsewhere}
        return cls(frozenset(meant | beside), frozenset(beside - meant))

    def path(self, loc: Iterable[int | str]) -> str:
        """``messages.0.content``; ``*`` stands for a name that is none of ours."""
        named = (part for part in loc if isinstance(part, int) or not _TAG.fullmatch(part))
        parts = [str(part) if isinstance(part, int) or part in self.known else ANY for part in named]
        return ".".join(parts) or "body"

    def error(self, error: Mapping[str, Any]) -> dict[str, str]:
        """One of pydantic's errors as ``{"field", "problem"}``."""
        place, *loc = error["loc"] or ("body",)
        if place not in PLACES:
            loc = [place, *loc]
        problem = str(error["msg"]).removeprefix("Value error, ")
        match error["type"]:
            case "missing":
                problem = "is required"
            case "extra_forbidden":
                problem = self._unknown(str(loc[-1]) if loc else "")
            case "model_attributes_type" | "model_type":
                problem = "must be an object"
            case _:
                problem = _SHOULD.sub("must ", problem)
        if place in {"query", "path", "header", "cookie"}:
            return {"field": ".".join(str(part) for part in loc) or place, "problem": problem}
        return {"field": self.path(loc), "problem": problem}

    def _unknown(self, name: str) -> str:
        meant = sorted(self.known - self.unsuggested - {name})  # another request of this door may have it
        closest = difflib.get_close_matches(name[:64], meant, n=1)
        return "is no field of this request" + (f"; did you mean {closest[0]}?" if closest else "")


def safe_name(name: str) -> str:
    """``*`` for one that may be a secret."""
    return name if _PARAMETER.fullmatch(name) else ANY


NO_NAMES = FieldNames()


class Parameters(FieldNames):
    """Any name that looks like a parameter's may appear in an error: for doors of protocols that have more of them than
    can be honoured, and refuse those by name."""

    __slots__ = ()

    def path(self, loc: Iterable[int | str]) -> str:
        parts = list(loc)
        named = {part for part in parts if isinstance(part, str) and safe_name(part) == part}
        return FieldNames(self.known | named).path(parts)


def _names(models: Iterable[type[BaseModel]]) -> Iterator[str]:
    waiting, seen = list(models), set[type[BaseModel]]()
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            yield name
            if isinstance(field.alias, str):
                yield field.alias
            waiting.extend(_models_in(field.annotation))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
