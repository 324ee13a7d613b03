"""How this door takes requests: what it does not know it refuses by its name, and it knows many names."""

import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from chatorch.entrypoints.common.field_paths import FieldNames
from chatorch.entrypoints.common.strict_json import Strictness, StrictRoute

MAX_PARAMETERS = 64
_PARAMETER = re.compile(r"[A-Za-z]{1,24}(?:_[A-Za-z]{1,24}){0,4}")
"""Words. A key or a token that somebody put there by mistake has digits in it."""


class OpenAIRoute(StrictRoute):
    strictness = Strictness(max_names=MAX_PARAMETERS)


class Request(BaseModel):
    """A body in which every field must be known; null is as good as absent."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Parameters(FieldNames):
    """Any name that looks like a parameter's may appear in an error: what cannot be honoured is refused by its name."""

    __slots__ = ()

    def path(self, loc: Iterable[int | str]) -> str:
        parts = list(loc)
        named = {part for part in parts if isinstance(part, str) and _PARAMETER.fullmatch(part)}
        return FieldNames(self.known | named).path(parts)
