"""A real MCP server, of the official package, in a process of its own.

``python -m tests.support.mcp_server stdio [greeting]`` or ``… http PORT``: at ``/mcp`` it speaks all protocols, at
``/old`` none of 2026.
"""

import asyncio
import os
import sys
import time
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)

server = MCPServer("proof", log_level="ERROR")
given_up: list[str] = []


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def echo(text: str) -> CallToolResult:
    """Says it again."""
    return CallToolResult(content=[TextContent(text=text)])


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def wipe() -> str:
    return "gone"


@server.tool(annotations=ToolAnnotations(destructive_hint=False, idempotent_hint=True))
def put() -> str:
    return "put"


@server.tool()
async def hang() -> str:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        given_up.append("hang")
        raise
    return "never"


@server.tool()
def cancelled() -> CallToolResult:
    """How many calls were given up."""
    return CallToolResult(content=[TextContent(text=str(len(given_up)))])


@server.tool()
def large(size: int) -> CallToolResult:
    return CallToolResult(content=[TextContent(text="x" * size)])


@server.tool()
async def steps(count: int, ctx: Context[Any, Any]) -> CallToolResult:
    for step in range(count):
        await ctx.report_progress(step + 1, count, f"step {step + 1}")
    return CallToolResult(content=[TextContent(text="done")])


@server.tool()
async def key(ctx: Context[Any, Any]) -> CallToolResult:
    """The one that came with the call."""
    meta: Any = ctx.request_context.meta or {}
    return CallToolResult(content=[TextContent(text=str(meta.get("chatorch/idempotency-key")))])


@server.tool()
def die() -> str:
    os._exit(1)


@server.tool()
def stall(seconds: float) -> str:
    """Holds the whole server up."""
    time.sleep(seconds)
    return "late"


@server.tool()
async def block(seconds: float) -> str:
    """Lets nothing else be answered meanwhile."""
    time.sleep(seconds)  # noqa: ASYNC251  # that is what it is for
    return "late"


@server.tool()
def fail() -> CallToolResult:
    return CallToolResult(content=[TextContent(text="no such \0 file")], is_error=True)


@server.tool()
def kinds() -> CallToolResult:
    resource = TextResourceContents(uri="file:///notes.txt", mime_type="text/plain", text="the notes")
    blob = BlobResourceContents(uri="file:///x.bin", mime_type="application/x", blob="QUJDREVG")
    return CallToolResult(
        content=[
            TextContent(text="first"),
            ImageContent(data="QUJDREVG", mime_type="image/png"),
            AudioContent(data="QUJD", mime_type="audio/wav"),
            EmbeddedResource(resource=resource),
            EmbeddedResource(resource=blob),
            ResourceLink(name="r", uri="https://example.com/secret", mime_type="text/html", size=7),
        ]
    )


@server.tool()
def structured() -> CallToolResult:
    return CallToolResult(content=[], structured_content={"degrees": 21})


@server.tool(name="dotted.name")
def dotted() -> CallToolResult:
    return CallToolResult(content=[TextContent(text="by its own name")])


@server.tool()
async def grow(ctx: Context[Any, Any]) -> str:
    """Offers one tool more."""
    server.add_tool(lambda: "new", name="grown", description="It was not there before.")
    await ctx.session.send_tool_list_changed()
    await ctx.notify_tools_changed()
    return "grown"


@server.tool()
def environment() -> CallToolResult:
    return CallToolResult(content=[TextContent(text=" ".join(sorted(os.environ)))])


@server.tool()
def chatter(lines: int) -> str:
    for _ in range(lines):
        sys.stderr.write("chatter " * 20 + "\n")
    return "said"


def serve_http(port: int) -> None:
    import uvicorn

    app = server.streamable_http_app()

    async def with_an_old_side(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/old":
            if (b"mcp-method", b"server/discover") in scope["headers"]:
                await send({"type": "http.response.start", "status": 404, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            scope = {**scope, "path": "/mcp", "raw_path": b"/mcp"}
        await app(scope, receive, send)

    uvicorn.run(with_an_old_side, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "stdio":
        if rest == ["greeting"]:
            sys.stdout.write('Welcome to this server!\n{}\n[1\n\x00\n\n{"jsonrpc":"2.0","id":77,"result":{}}\n')
            sys.stdout.flush()
        server.run("stdio")
    else:
        serve_http(int(rest[0]))
