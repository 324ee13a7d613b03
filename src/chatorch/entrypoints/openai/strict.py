"""How this door takes requests: what it does not know it refuses by its name, and it knows many names."""

from pydantic import BaseModel, ConfigDict

from chatorch.entrypoints.common.strict_json import Strictness, StrictRoute

MAX_PARAMETERS = 64


class OpenAIRoute(StrictRoute):
    strictness = Strictness(max_names=MAX_PARAMETERS)


class Request(BaseModel):
    """A body in which every field must be known; null is as good as absent."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
