"""How this door takes requests: what it does not know it refuses by its name, and it knows many names."""

from collections.abc import Collection, Mapping

from pydantic import BaseModel, ConfigDict

from chatorch.domain.model.errors import InvalidField
from chatorch.entrypoints.common.field_paths import safe_name
from chatorch.entrypoints.common.strict_json import Strictness, StrictRoute

MAX_PARAMETERS = 64


class OpenAIRoute(StrictRoute):
    strictness = Strictness(max_names=MAX_PARAMETERS, max_member_names=MAX_PARAMETERS)


class Request(BaseModel):
    """A body in which every field must be known; null is as good as absent."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def require_known(given: Mapping[str, object], known: Collection[str], field: str) -> None:
    """Of an object that no model reads. Raises `InvalidField`, which names the first that is not known."""
    if unknown := next((name for name in given if name not in known and given[name] is not None), None):
        raise InvalidField(f"{field}.{safe_name(unknown)}", "is not supported here")
