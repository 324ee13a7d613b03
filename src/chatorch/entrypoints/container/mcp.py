"""Tools of MCP servers, where there are such: nothing of the protocol is loaded before."""

from typing import TYPE_CHECKING

from chatorch.entrypoints.mcp_settings import McpServerSettings
from chatorch.entrypoints.settings import Settings

if TYPE_CHECKING:
    from chatorch.adapters.tools.mcp.tools import McpTools


def mcp_tools(settings: Settings) -> "McpTools | None":
    """None without servers. Its `keep_connected` is a loop of the process, and it is to be closed."""
    if not settings.mcp_servers:
        return None
    from chatorch.adapters.tools.mcp.servers import Approval, McpServer  # noqa: PLC0415  # loads the package
    from chatorch.adapters.tools.mcp.tools import McpTools  # noqa: PLC0415

    def server(one: McpServerSettings) -> McpServer:
        return McpServer(
            one.name,
            url=one.url,
            command=one.command,
            headers={name: secret.get_secret_value() for name, secret in one.headers.items()},
            env={name: secret.get_secret_value() for name, secret in one.env.items()},
            timeout_s=one.timeout_s,
            approval=Approval(one.approval),
            max_message_bytes=settings.mcp_max_message_bytes,
        )

    return McpTools([server(one) for one in settings.mcp_servers])
