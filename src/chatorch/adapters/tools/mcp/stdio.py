"""Servers that are started here and spoken to over their standard streams (MCP, stdio).

The official package's own transport holds a line of any length, and gives the server our stderr.
"""

import asyncio
import logging
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, jsonrpc_message_adapter

from chatorch.adapters.tools.mcp import child, failures
from chatorch.adapters.tools.mcp.lines import Lines, TooLong
from chatorch.adapters.tools.mcp.redaction import Redaction
from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.adapters.tools.mcp.texts import short

READ_BYTES = 64 * 1024
MAX_LOGGED_CHARS = 500
LOGGED_LINES = 20
LOGGED_EVERY_S = 60.0

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def stdio_transport(
    server: McpServer, redaction: Redaction, is_ready: Callable[[], bool], tell_end: Callable[[str, str], None]
) -> AsyncIterator[TransportStreams]:
    """`is_ready`: whether calls may have been made of it. `tell_end` is told how the program ended, and its last words
    on stderr or an empty text, where it was the program that hung up. Raises `child.NotStarted`."""
    process = await child.start(server)
    said, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, asked = anyio.create_memory_object_stream[SessionMessage](0)
    stdin, stdout, stderr = _pipes(process)
    hung_up, last_words = asyncio.Event(), deque[str](maxlen=1)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, server, stdout, said, hung_up)
            tasks.start_soon(_write, stdin, asked, said, hung_up)
            tasks.start_soon(_log, server, stderr, redaction, is_ready, last_words)
            try:
                yield incoming, outgoing
            finally:
                with anyio.CancelScope(shield=True):
                    incoming.close()
                    outgoing.close()
                    has_hung_up = hung_up.is_set()
                    status = await child.stop(process)
                    if has_hung_up:
                        tell_end(child.ending(status), "".join(last_words))
                tasks.cancel_scope.cancel()
    finally:
        for stream in (said, incoming, outgoing, asked):
            stream.close()
        child.close_pipes(process)


def _pipes(process: Process) -> tuple[StreamWriter, StreamReader, StreamReader]:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise OSError("a process without pipes")
    return process.stdin, process.stdout, process.stderr


async def _read(
    server: McpServer,
    stdout: StreamReader,
    said: MemoryObjectSendStream[SessionMessage | Exception],
    hung_up: asyncio.Event,
) -> None:
    lines, is_told = Lines(server.max_message_bytes), False
    async with said:
        while data := await _some(stdout, READ_BYTES):
            for line in lines.feed(data):
                message = _message(line)
                if message is None and not is_told:
                    is_told = True
                    _logger.warning("mcp_not_a_message: %(server)s", {"server": server.name})
                if message is None:
                    continue
                try:
                    await said.send(message)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return
        hung_up.set()


def _message(line: bytes | TooLong) -> SessionMessage | None:
    """None for what is no message of JSON-RPC, such as a program's greeting."""
    if isinstance(line, TooLong):
        if line.request_id is None:
            return None
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=line.request_id, error=failures.error(failures.TOO_LARGE)))
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


async def _write(
    stdin: StreamWriter,
    asked: MemoryObjectReceiveStream[SessionMessage],
    said: MemoryObjectSendStream[SessionMessage | Exception],
    hung_up: asyncio.Event,
) -> None:
    async with asked:
        async for message in asked:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                stdin.write(text.encode() + b"\n")
                await stdin.drain()
            except (OSError, RuntimeError):  # RuntimeError: uvloop, of a pipe that is closed
                hung_up.set()
                await said.aclose()
                return


async def _log(
    server: McpServer, stderr: StreamReader, redaction: Redaction, is_ready: Callable[[], bool], last: deque[str]
) -> None:
    """What it says there, by the specification its log: the first lines of each minute. `last` has the newest one.

    Once it is ready a line may hold what a call was given, which is for nobody who does not ask for it.
    """
    lines, left, since = Lines(READ_BYTES), 0, float("-inf")
    while data := await _some(stderr, READ_BYTES):
        now = asyncio.get_running_loop().time()
        if now - since > LOGGED_EVERY_S:
            left, since = LOGGED_LINES, now
        for line in lines.feed(data):
            if isinstance(line, TooLong):
                continue
            words = short(redaction.text(line.decode(errors="replace")), MAX_LOGGED_CHARS)
            if words.strip():
                last.append(words)
            if left > 0:
                left -= 1
                told = {"server": server.name, "line": words}
                level = logging.DEBUG if is_ready() else logging.INFO
                _logger.log(level, "mcp_server_says: %(server)s: %(line)s", told)


async def _some(stream: StreamReader, most: int) -> bytes:
    with suppress(OSError):
        return await stream.read(most)
    return b""
