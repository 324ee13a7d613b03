"""What a client asks for: https://platform.openai.com/docs/api-reference/conversations."""

from typing import Annotated, Any

from pydantic import Field

from chatorch.entrypoints.openai.metadata import Pairs
from chatorch.entrypoints.openai.strict import Request

MAX_ITEMS = 20

Items = Annotated[list[Any], Field(max_length=MAX_ITEMS, description="Items of type message")]


class CreateConversation(Request):
    items: Items | None = None
    metadata: Pairs | None = None


class UpdateConversation(Request):
    """`metadata` replaces all of it."""

    metadata: Pairs | None


class CreateItems(Request):
    items: Annotated[Items, Field(min_length=1)]
