"""What models may call: where the operator's tools come from, and who may use which."""

from functools import partial
from typing import TYPE_CHECKING

import structlog
from dependency_injector import providers

from chatorch.domain.model.tool_policy import ToolPolicy, tool_rules
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.domain.services.execution.tool_loop import ToolLoop
from chatorch.domain.services.toolbox import Toolbox
from chatorch.entrypoints.container.mcp import mcp_tools
from chatorch.entrypoints.container.models import ModelsTopic
from chatorch.entrypoints.container.python_tools import python_tools
from chatorch.entrypoints.container.world import LongLived
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.settings import Settings

if TYPE_CHECKING:
    from chatorch.adapters.tools.mcp.tools import McpTools

log = structlog.get_logger(__name__)


def tool_policy(settings: Settings) -> ToolPolicy:
    return ToolPolicy(tool_rules(settings.tools), tool_rules(settings.tools_need_approval))


def tool_limits(settings: Settings) -> ToolLimits:
    return ToolLimits(
        max_steps=settings.max_steps,
        at_once=settings.tools_at_once,
        timeout_s=settings.tool_timeout_s,
        max_result_chars=settings.max_tool_result_chars,
        max_results_chars=settings.max_answer_chars // 2,  # which they are part of: there must be room for words
        max_progress_chars=settings.max_answer_chars // 10,
    )


async def keep_connected(tools: "McpTools | None", metrics: Metrics) -> None:
    """For ever, where there are any servers."""
    if tools is not None:
        metrics.look_up_mcp(tools.up)
        await tools.keep_connected()


async def tell_unused_rules(toolbox: Toolbox) -> None:
    """Once it is known what there is: a tool that is misspelt in a rule is called without being asked for."""
    await toolbox.settle()
    for rule in toolbox.unused_rules():
        log.warning("tool_rule_unused", rule=rule, settings="CHATORCH_TOOLS, CHATORCH_TOOLS_NEED_APPROVAL")


class ToolsTopic(ModelsTopic):
    """Another source of tools is one more in `tool_sources`."""

    python_tools = providers.Singleton(python_tools, ModelsTopic.settings)
    mcp_tools = providers.Singleton(mcp_tools, ModelsTopic.settings)
    tool_sources = providers.List(python_tools, mcp_tools)
    toolbox = providers.Singleton(Toolbox, tool_sources, providers.Callable(tool_policy, ModelsTopic.settings))
    tool_loop = providers.Singleton(
        ToolLoop,
        ModelsTopic.chat_model,
        toolbox,
        calls=ModelsTopic.calls,
        clock=ModelsTopic.clock,
        telemetry=ModelsTopic.telemetry,
        limits=providers.Callable(tool_limits, ModelsTopic.settings),
    )

    loops: LongLived = (
        providers.Factory(partial, keep_connected, mcp_tools, ModelsTopic.metrics),
        providers.Factory(partial, tell_unused_rules, toolbox),
    )
    closing: LongLived = (toolbox,)
