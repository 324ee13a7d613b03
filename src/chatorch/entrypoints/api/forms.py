"""The form of ``POST /token`` (RFC 6749, 4.3.2)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatorch.domain.model.identity import MAX_PASSWORD_CHARS
from chatorch.entrypoints.common.fields import MAX_LABEL_CHARS


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL")
    return value


class TokenForm(BaseModel):
    """Take it as ``Annotated[TokenForm, Form()]``. Fields that are none of these are ignored (RFC 6749, 3.2)."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    grant_type: Literal["password"]
    username: Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS), AfterValidator(_without_nul)]
    password: Annotated[
        str,
        Field(min_length=1, max_length=MAX_PASSWORD_CHARS, json_schema_extra={"format": "password"}, repr=False),
        AfterValidator(_without_nul),
    ]
