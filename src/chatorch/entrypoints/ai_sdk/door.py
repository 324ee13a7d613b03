"""`useChat` of Vercel's AI SDK, over the threads that are here."""

from chatorch.entrypoints.ai_sdk.error_form import ERROR_TEXTS
from chatorch.entrypoints.ai_sdk.frames import FIELDS
from chatorch.entrypoints.ai_sdk.route import router
from chatorch.entrypoints.ai_sdk.speech import speech
from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.websocket.route import socket_routes
from chatorch.entrypoints.common.websocket.wire import WireProtocol

DOOR = Door(
    name="ai_sdk",
    paths=("/api/ai-sdk", "/ws/ai-sdk"),
    routes=(*router.routes, *socket_routes("/ws/ai-sdk", speech)),
    errors=ERROR_TEXTS,
    fields=FIELDS,
    websocket=WireProtocol,
)
