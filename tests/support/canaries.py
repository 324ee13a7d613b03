"""Marks that are put where something secret goes, and looked for where nothing secret may come out."""

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

BOUND_S = 15.0

FORGED = (
    '\r\n{"event":"forged","level":"info"}\r\n2026-01-01T00:00:00Z [info] forged\x1b[31m\x1b]0;forged\x07\u2028forged'
)
"""What would begin a line of its own, or colour a terminal, in a log that takes text as it is."""


FORGED_HEADER = "\x9b31m\u2028forged"
"""The same for a header, where the server itself refuses the controls of ASCII."""


class Canaries:
    """One mark a place; letters and digits only, so that no encoding hides it."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}

    def at(self, place: str) -> str:
        return self.marks.setdefault(place, f"cnry{secrets.token_hex(12)}")

    def __getitem__(self, place: str) -> str:
        return self.at(place)

    def hostile(self, place: str) -> str:
        """The mark in front of something that would break a line."""
        return self.at(place) + FORGED

    def in_header(self, place: str) -> str:
        return self.at(place) + FORGED_HEADER

    def found_in(self, text: str) -> list[str]:
        """The places whose marks are in it."""
        return [place for place, mark in self.marks.items() if mark in text]


@dataclass(frozen=True)
class RawAnswer:
    what: str
    status: int
    text: str


@dataclass
class Prober:
    """Sends requests to the byte as they are given, each on a connection of its own, and keeps all answers."""

    port: int
    token: str
    answers: list[RawAnswer] = field(default_factory=list)

    async def send(
        self, method: str, target: str, body: object = b"", *, token: str | None = None, **headers: str
    ) -> RawAnswer:
        """`body`: bytes as they are, anything else as JSON. Header names have ``_`` for ``-``."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {
            "host": "chat",
            "connection": "close",
            "content-length": str(len(content)),
            "content-type": "application/json",
            "authorization": f"Bearer {self.token if token is None else token}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return await self.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + content)

    async def raw(self, request: bytes) -> RawAnswer:
        async with asyncio.timeout(BOUND_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request)
            text = (await reader.read()).decode("utf-8", "replace")
            writer.close()
        answer = RawAnswer(request[:60].decode("utf-8", "replace"), int(text[9:12] or 0), text)
        self.answers.append(answer)
        return answer

    async def chat(self, content: str, **members: Any) -> RawAnswer:
        body = {"messages": [{"role": "user", "content": content}], **members}
        return await self.send("POST", "/api/chat/protected", body)

    @property
    def refusals(self) -> str:
        """All bodies and headers of errors."""
        return "\n".join(answer.text for answer in self.answers if answer.status >= 400)

    @property
    def successes(self) -> str:
        return "\n".join(answer.text for answer in self.answers if answer.status < 400)
