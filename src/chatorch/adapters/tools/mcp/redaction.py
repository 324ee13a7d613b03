"""What a server was given to be let in, and must not get into what others read of it."""

from base64 import b64encode
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCResponse

from chatorch.adapters.tools.mcp.servers import McpServer

REDACTED = "[redacted]"
MIN_CHARS = 8
"""What is shorter is found in words that have nothing to do with it."""
MIN_PASSWORD_CHARS = 4

_OF_CONTENT = frozenset({"text", "mimeType"})
_OF_TOOLS = frozenset({"description", "title", "default", "examples"})


class Redaction:
    """Puts `REDACTED` in the place of a server's credentials, in whatever it says."""

    def __init__(self, server: McpServer) -> None:
        self._secrets = sorted(set(_credentials(server)), key=len, reverse=True)

    def text(self, said: str) -> str:
        for secret in self._secrets:
            said = said.replace(secret, REDACTED)
        return said

    def message(self, message: JSONRPCMessage) -> None:
        """In the texts that a model, or people, may get to see; what the protocol and its server need stays as it is: a
        header may say no more than the version of the protocol."""
        if not self._secrets:
            return
        match message:
            case JSONRPCError():
                message.error = message.error.model_copy(update={"message": self.text(message.error.message)})
            case JSONRPCNotification(method="notifications/progress", params=dict(params)):
                if isinstance(said := params.get("message"), str):
                    params["message"] = self.text(said)
            case JSONRPCResponse(result=result):
                for name, names in (("content", _OF_CONTENT), ("tools", _OF_TOOLS)):
                    if name in result:
                        result[name] = self._within(result[name], names)
                if "structuredContent" in result:
                    result["structuredContent"] = self._whole(result["structuredContent"])

    def _within(self, said: Any, names: Collection[str]) -> Any:
        """Of members by these names, at any depth."""
        match said:
            case list():
                return [self._within(each, names) for each in said]
            case dict():
                return {
                    name: self._whole(each) if name in names else self._within(each, names)
                    for name, each in said.items()
                }
        return said

    def _whole(self, said: Any) -> Any:
        match said:
            case str():
                return self.text(said)
            case list():
                return [self._whole(each) for each in said]
            case dict():
                return {self.text(name): self._whole(each) for name, each in said.items()}
        return said


def _credentials(server: McpServer) -> Iterator[str]:
    """Each in all forms in which it stands in a request."""
    for value in server.headers.values():
        yield from _long_enough(value, value.partition(" ")[2].strip())
    for value in server.env.values():
        if not _is_path(value):  # a folder stands in whatever is said of its files
            yield from _long_enough(value)
    parts = urlsplit(server.url or "")
    yield from _long_enough(*(value for _, value in parse_qsl(parts.query)))
    user, password = parts.username or "", parts.password or ""
    if secret := password or user:  # a token may stand there alone
        yield b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        yield from (each for each in (secret, unquote(secret)) if len(each) >= MIN_PASSWORD_CHARS)


def _is_path(value: str) -> bool:
    try:
        return Path(value).is_absolute() and Path(value).exists()
    except (OSError, ValueError):
        return False


def _long_enough(*values: str) -> Iterator[str]:
    yield from (value for value in values if len(value) >= MIN_CHARS)
