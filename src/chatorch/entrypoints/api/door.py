"""Our own API, over HTTP."""

from chatorch.entrypoints.api.forms import TokenForm
from chatorch.entrypoints.api.routes import broadcast, chat, health, home, identity, runs, threads, tools
from chatorch.entrypoints.api.schemas import (
    BroadcastRequest,
    ChatRequest,
    EditRequest,
    RetryRequest,
    ThreadPatch,
    ToolOutputsRequest,
)
from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.field_paths import FieldNames

TOPICS = (chat, runs, threads, tools, identity, broadcast, health, home)
ELSEWHERE = ("after", "id", "run_id", "token", "type")
"""Of answers and frames, which clients send here by mistake."""

DOOR = Door(
    name="api",
    paths=("/", "/api", "/docs", "/health", "/openapi.json", "/token"),
    routes=tuple(route for topic in TOPICS for route in topic.router.routes),
    fields=FieldNames.of(
        ChatRequest,
        EditRequest,
        RetryRequest,
        ToolOutputsRequest,
        ThreadPatch,
        BroadcastRequest,
        forms=(TokenForm,),
        elsewhere=ELSEWHERE,
    ),
)
