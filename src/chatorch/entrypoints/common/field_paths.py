"""Naming what is wrong in a request without repeating anything that the client wrote."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

KNOWN_FIELDS: set[str] = set()
"""The names that our own schemas give to fields: only these may appear in an answer."""

NOT_SUGGESTED: set[str] = set()
"""Those among them that only a form has, where unknown fields are ignored: never what somebody meant elsewhere."""

ANY = "*"
PLACES = frozenset({"body", "query", "path", "header", "cookie"})

_SHOULD = re.compile(r"^(?:Input|String|List|Dictionary|Value|Set|Tuple|Number|Data) should ")


def field_path(loc: Iterable[int | str]) -> str:
    """``messages.0.content``; ``*`` stands for a name that is none of ours."""
    parts = [str(part) if isinstance(part, int) or part in KNOWN_FIELDS else ANY for part in loc]
    return ".".join(parts) or "body"


def field_error(error: Mapping[str, Any]) -> dict[str, str]:
    """One of pydantic's errors as ``{"field", "problem"}``."""
    place, *loc = error["loc"] or ("body",)
    if place not in PLACES:
        loc = [place, *loc]
    problem = str(error["msg"]).removeprefix("Value error, ")
    match error["type"]:
        case "missing":
            problem = "is required"
        case "extra_forbidden":
            problem = _unknown(str(loc[-1]) if loc else "")
        case "model_attributes_type" | "model_type":
            problem = "must be an object"
        case _:
            problem = _SHOULD.sub("must ", problem)
    if place in {"query", "path", "header", "cookie"}:
        return {"field": ".".join(str(part) for part in loc) or place, "problem": problem}
    return {"field": field_path(loc), "problem": problem}


def _unknown(name: str) -> str:
    closest = difflib.get_close_matches(name[:64], sorted(KNOWN_FIELDS - NOT_SUGGESTED), n=1)
    return "is no field of this request" + (f"; did you mean {closest[0]}?" if closest else "")
