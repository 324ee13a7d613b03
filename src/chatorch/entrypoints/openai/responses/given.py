"""What the routes of responses and conversations take."""

from typing import Annotated

from fastapi import Depends, Query

from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.policy import ChatPolicy
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.openai.needs import given
from chatorch.ports.system import Clock, IdFactory

RunsDep = Annotated[Runs, Depends(given(lambda c: c.runs()))]
AnnotationsDep = Annotated[Annotations, Depends(given(lambda c: c.annotations()))]
ConversationsDep = Annotated[Conversations, Depends(given(lambda c: c.conversations()))]
PolicyDep = Annotated[ChatPolicy, Depends(given(lambda c: c.policy()))]
IdsDep = Annotated[IdFactory, Depends(given(lambda c: c.ids()))]
ClockDep = Annotated[Clock, Depends(given(lambda c: c.clock()))]


async def nothing_more(
    include: Annotated[list[str] | None, Query()] = None,
    include_: Annotated[list[str] | None, Query(alias="include[]")] = None,
) -> None:
    """Raises `InvalidField`: there is nothing that could be shown besides."""
    if include or include_:
        raise InvalidField("include", "is not supported here")
