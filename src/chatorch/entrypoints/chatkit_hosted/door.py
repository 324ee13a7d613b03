"""Sessions for ChatKit's widget where OpenAI hosts it."""

from chatorch.entrypoints.chatkit_hosted.route import router
from chatorch.entrypoints.chatkit_hosted.schemas import RefreshRequest, SessionRequest
from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.field_paths import FieldNames

DOOR = Door(
    name="chatkit_hosted",
    paths=("/api/chatkit",),
    routes=tuple(router.routes),
    fields=FieldNames.of(SessionRequest, RefreshRequest),
)
