"""All operations of an application, from its OpenAPI document, with something put in for every parameter."""

from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

METHODS = ("get", "post", "put", "patch", "delete")

PUBLIC = frozenset({"POST /token", "GET /health", "GET /health/live", "GET /health/ready", "GET /metrics"})


@dataclass(frozen=True)
class Operation:
    """`path` is a template; `parameters` are the names in it."""

    method: str
    path: str
    parameters: tuple[str, ...]
    takes_body: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def address(self, **values: str) -> str:
        """With these put in, and ``x`` for every parameter that is not among them."""
        return self.path.format(**{name: values.get(name, "x") for name in self.parameters})

    async def send(
        self, client: httpx.AsyncClient, *, body: object = None, headers: dict[str, str] | None = None, **values: str
    ) -> httpx.Response:
        """`body` goes along where the operation takes one."""
        json = body if self.takes_body and self.path != "/token" else None
        return await client.request(self.method, self.address(**values), json=json, headers=headers)


def operations(app: FastAPI) -> list[Operation]:
    document: dict[str, Any] = app.openapi()
    return [
        Operation(
            method.upper(),
            path,
            tuple(p["name"] for p in operation.get("parameters", []) if p["in"] == "path"),
            "requestBody" in operation,
        )
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]
