"""What OpenAI's own clients, and all that speak like them, ask for."""

from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.field_paths import Parameters
from chatorch.entrypoints.openai import models
from chatorch.entrypoints.openai.chat_completions import route as chat_completions
from chatorch.entrypoints.openai.chat_completions.schema import ChatCompletionRequest
from chatorch.entrypoints.openai.conversations import route as conversations
from chatorch.entrypoints.openai.conversations.schema import CreateConversation, CreateItems, UpdateConversation
from chatorch.entrypoints.openai.errors import OPENAI_ERRORS
from chatorch.entrypoints.openai.responses import reading as reading_responses
from chatorch.entrypoints.openai.responses import route as responses
from chatorch.entrypoints.openai.responses.schema import CreateResponse

TOPICS = (chat_completions, responses, reading_responses, conversations, models)
REQUESTS = (ChatCompletionRequest, CreateResponse, CreateConversation, UpdateConversation, CreateItems)
"""The bodies that its routes take."""

DOOR = Door(
    name="openai",
    paths=("/v1",),
    routes=tuple(route for topic in TOPICS for route in topic.router.routes),
    errors=OPENAI_ERRORS,
    fields=Parameters.of(*REQUESTS),
)
