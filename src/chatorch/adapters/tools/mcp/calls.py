"""One call: asked over a server's session, bounded in time, told of in words that a model may see."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.client.session import ClientSession
from pydantic import TypeAdapter, ValidationError

from chatorch.adapters.tools.mcp import failures
from chatorch.adapters.tools.mcp.connection import Connection
from chatorch.adapters.tools.mcp.failures import TOO_LARGE_MARK
from chatorch.adapters.tools.mcp.giving_up import give_up
from chatorch.adapters.tools.mcp.results import output_of, progress_of
from chatorch.adapters.tools.mcp.texts import short
from chatorch.domain.model.facts import require_storable
from chatorch.ports.tools import ToolArgumentsInvalid, ToolError, ToolOutput, ToolProgress

KEY = "chatorch/idempotency-key"
"""Where a server finds the key of a call, in the request's ``_meta`` (MCP, General fields: names with a prefix)."""
MAX_WAITING = 32
"""How many progress notices wait for who reads them; of more the oldest are left out."""
MAX_PROGRESS = 1000
MAX_ERROR_CHARS = 2000

_REDIRECT = "Redirect to"
"""How the package begins to tell where a server wanted us to go."""
_CLOSED = ("Connection closed", "SSE stream ")
"""And how, that a connection is over: by the code that many servers give to whatever goes wrong with them."""
_ANSWER: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)


class _NotRun(Exception):
    """The server did not take the call, and said so, or was not reached."""


async def call(
    connection: Connection, name: str, arguments: Mapping[str, Any], key: str
) -> AsyncGenerator[ToolProgress | ToolOutput]:
    """Raises `ToolError`, at the latest when the server's time is over. A call that the server did not take is made a
    second time, over the next session and with the same `key`; any other is made once."""
    _require_sendable(arguments)
    deadline = asyncio.get_running_loop().time() + connection.server.timeout_s
    for is_last in (False, True):
        session, own_name = await _session_for(connection, name, deadline)
        try:
            pieces = _Call(connection, session, deadline, key).pieces(own_name, arguments)
            with connection.calling():
                try:
                    async for piece in pieces:
                        yield piece
                finally:
                    await pieces.aclose()
        except _NotRun:
            connection.end(session)
            if is_last:
                raise ToolError("The tool's server is not there at the moment.") from None
        else:
            return


async def _session_for(connection: Connection, name: str, deadline: float) -> tuple[ClientSession, str]:
    session = await connection.connected(deadline - asyncio.get_running_loop().time())
    if session is None:
        raise ToolError("The tool's server is not there at the moment.")
    offer = connection.offers.get(name)
    if offer is None:
        raise ToolError("There is no such tool.")
    return session, offer.own_name


class _Call:
    def __init__(self, connection: Connection, session: ClientSession, deadline: float, key: str) -> None:
        self._meta: types.RequestParamsMeta = {KEY: key}  # type: ignore[misc]  # open, which mypy does not know
        self._connection = connection
        self._session = session
        self._deadline = deadline
        self._stir = asyncio.Event()
        self._waiting: deque[ToolProgress] = deque(maxlen=MAX_WAITING)
        self._left = MAX_PROGRESS

    async def pieces(self, name: str, arguments: Mapping[str, Any]) -> AsyncGenerator[ToolProgress | ToolOutput]:
        asking = asyncio.create_task(self._ask(name, arguments))
        asking.add_done_callback(lambda _: self._stir.set())
        try:
            while True:
                self._stir.clear()
                while self._waiting:
                    yield self._waiting.popleft()
                if asking.done():
                    break
                async with asyncio.timeout_at(self._deadline):
                    await self._stir.wait()
            yield asking.result()
        except TimeoutError:
            raise ToolError(f"The tool did not answer within {self._connection.server.timeout_s:g} s.") from None
        finally:
            give_up(asking)

    async def _ask(self, name: str, arguments: Mapping[str, Any]) -> ToolOutput:
        """Does not look at what a tool says of its own results (`outputSchema`): a pattern in there could hold us up
        for ever, and they are text to us."""
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(name=name, arguments=dict(arguments), _meta=self._meta)
        )
        try:
            answer = await self._session.send_request(request, _ANSWER, progress_callback=self._on_progress)
        except MCPError as error:
            raise self._failure(error) from None
        except ValidationError:
            raise ToolError("The tool's server answered with what is no result of a tool.") from None
        except (RuntimeError, anyio.ClosedResourceError, anyio.BrokenResourceError):  # of a session that is over
            raise _NotRun from None
        if isinstance(answer, types.InputRequiredResult):
            raise ToolError("The tool asks for something that cannot be given to it here.")
        return output_of(answer)

    async def _on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        said = progress_of(progress, total, message)
        if said is not None and self._left > 0:
            self._left -= 1
            self._waiting.append(ToolProgress(said))
            self._stir.set()

    def _failure(self, error: MCPError) -> Exception:
        code, said = error.code, error.message
        if code in (failures.NEVER_SENT, failures.SESSION_UNKNOWN):
            return _NotRun()
        if code == failures.TOO_LARGE or said.rstrip(".").endswith(TOO_LARGE_MARK):
            return ToolError(f"The tool said more than {self._connection.server.max_message_bytes} bytes.")
        if code in (failures.LOST, types.CONNECTION_CLOSED):
            self._connection.look_again()  # some servers say so of a session that they have forgotten
        if code == failures.LOST or (code == types.CONNECTION_CLOSED and said.startswith(_CLOSED)):
            return ToolError("The tool's server went away. Whether it carried the call out is unknown.")
        if code == types.PARSE_ERROR:
            return ToolError("The tool's server answered with what cannot be read.")
        if code == types.INVALID_REQUEST and said.startswith(_REDIRECT):
            return ToolError("The tool's server is somewhere else by now.")
        told = short(said, MAX_ERROR_CHARS)
        if code == types.INVALID_PARAMS:
            return ToolArgumentsInvalid(told or "The arguments do not fit.")
        return ToolError(f"The tool's server refused the call: {told}")


def _require_sendable(arguments: Mapping[str, Any]) -> None:
    try:
        require_storable(arguments)
    except ValueError:
        problem = "The arguments hold NUL, a lone surrogate or a number that is too large, or are too deep."
        raise ToolArgumentsInvalid(problem) from None
