"""Requests and responses of hosted ChatKit; the ways are those of `schemas`."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from chatorch.entrypoints.common.fields import Described, Strict, Time

MAX_SECRET_CHARS = 4096
MAX_HOSTED_ID_CHARS = 128

HostedId = Annotated[str, Field(min_length=1, max_length=MAX_HOSTED_ID_CHARS)]


class SessionRequest(Strict):
    """`thread_id` is a thread of the caller's that OpenAI keeps. May be left out altogether."""

    thread_id: HostedId | None = None
    workflow_id: HostedId | None = None


class RefreshRequest(Strict):
    """`token` is another name for `client_secret`."""

    client_secret: Annotated[str, Field(min_length=1, max_length=MAX_SECRET_CHARS)] = Field(
        validation_alias=AliasChoices("client_secret", "token")
    )


class SessionOut(Described):
    """`session_id` is for cancelling; `thread_id` is there where one was asked for."""

    session_id: str
    client_secret: str
    expires_at: Time
    refresh_at: Time
    thread_id: str | None = None


class HostedThreadOut(Described):
    id: str
    title: str | None
    status: Literal["active", "locked", "closed"]
    created_at: Time


class HostedItemOut(BaseModel):
    """Further members depend on `type` and are OpenAI's."""

    model_config = ConfigDict(extra="allow")

    id: str
    thread_id: str
    type: str
    created_at: Time
