"""What the clients of chat completions have in common, and how each of them shows what went wrong."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.support.client_process import ClientProcess, Told
from tests.support.lossy_line import LossyLine
from tests.support.server import Server

PATH = "POST /v1/chat/completions"
Clients = Callable[[str], ClientProcess]
"""By the name of the client."""


@dataclass(frozen=True)
class ChatClient:
    """`broken` are the errors of a connection that broke in mid-answer, `in_stream` those that came as an event; where
    that is no fault of the server's, the client may have another (`ended_in_stream`).

    `refused` are those of an answer that has this status, `asks` how often it asks in all where asking again may help.
    """

    file: str
    broken: frozenset[str]
    in_stream: str
    refused: dict[int, str] = field(default_factory=dict)
    asks: int = 3
    path: str = PATH
    given: dict[str, object] = field(default_factory=dict)
    ended_in_stream: str | None = None

    def over_responses(self) -> "ChatClient":
        """The same library, told to use the other of OpenAI's interfaces."""
        return replace(self, path="POST /v1/responses", given={"responses": True})


_OPENAI = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    409: "ConflictError",
    429: "RateLimitError",
    502: "InternalServerError",
    503: "InternalServerError",
}

CHAT_CLIENTS = {
    "openai-node": ChatClient("openai.mjs", frozenset({"TypeError"}), "APIError", _OPENAI),
    "openai-python": ChatClient("openai_python.py", frozenset({"APIConnectionError"}), "APIError", _OPENAI),
    "LangChain": ChatClient(
        "langchain_chat.py",
        frozenset({"OpenAIConnectionError"}),
        "APIError",
        {
            400: "OpenAIInvalidRequestError",
            401: "OpenAIAuthenticationError",
            404: "OpenAIModelNotFoundError",
            409: "ConflictError",  # the package's below it
            429: "OpenAIRateLimitError",
            502: "OpenAIAPIError",
            503: "OpenAIAPIError",
        },
    ),
    "pydantic-ai": ChatClient(
        "pydantic_ai_chat.py",
        frozenset({"ModelConnectionError"}),
        "ModelServerError",
        ended_in_stream="ModelAPIError",
        refused={
            400: "ModelRequestRejectedError",
            401: "ModelAuthenticationError",
            404: "ModelNotFoundError",
            409: "ModelHTTPError",
            429: "ModelRateLimitError",
            502: "ModelServerError",
            503: "ModelUnavailableError",
        },
    ),
    "Open WebUI": ChatClient(
        "open_webui.py",
        frozenset({"ClientPayloadError", "ClientConnectionResetError", "ClientOSError"}),
        "InStream",
        dict.fromkeys(_OPENAI, "Refused"),
        asks=1,
    ),
}

RESPONSES_CLIENTS = {
    f"{name} on Responses": CHAT_CLIENTS[name].over_responses() for name in ("LangChain", "pydantic-ai")
}
EVERY = CHAT_CLIENTS | RESPONSES_CLIENTS


def at(server: Server | LossyLine, token: str | None, model: str = "", **members: object) -> dict[str, object]:
    return {"url": server.url, "token": token, "model": model, **members}


def asked(name: str, where: Server | LossyLine, server: Server, model: str, **members: object) -> dict[str, object]:
    """What any client is given who asks as Alice."""
    return at(where, server.tokens["alice"], model, **EVERY[name].given, **members)


def detail(shown: Told) -> str:
    """What of the error the user is told, in whatever form the client has it."""
    return shown["message"] + json.dumps(shown.get("body") or "")


def refused(client: ChatClient, code: int, shown: Told) -> None:
    assert shown["type"] == client.refused[code], shown
    assert shown.get("status", shown.get("status_code")) == code
