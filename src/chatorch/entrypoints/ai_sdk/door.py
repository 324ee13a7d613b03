"""`useChat` of Vercel's AI SDK, over the threads that are here."""

from chatorch.entrypoints.ai_sdk.error_form import ERROR_TEXTS
from chatorch.entrypoints.ai_sdk.route import router
from chatorch.entrypoints.ai_sdk.schemas import ChatBody
from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.field_paths import FieldNames

DOOR = Door(
    name="ai_sdk",
    paths=("/api/ai-sdk",),
    routes=tuple(router.routes),
    errors=ERROR_TEXTS,
    fields=FieldNames.of(ChatBody, elsewhere=("v",)),
)
