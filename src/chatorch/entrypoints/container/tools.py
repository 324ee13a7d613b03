"""What models may call: where the operator's tools come from, and who may use which."""

from dependency_injector import providers

from chatorch.adapters.tools.python import PythonTools
from chatorch.domain.model.tool_policy import ToolPolicy, tool_rules
from chatorch.domain.services.execution.tool_calls import ToolLimits
from chatorch.domain.services.execution.tool_loop import ToolLoop
from chatorch.domain.services.toolbox import Toolbox
from chatorch.entrypoints.container.models import ModelsTopic
from chatorch.entrypoints.container.world import LongLived
from chatorch.entrypoints.settings import Settings


def tool_policy(settings: Settings) -> ToolPolicy:
    return ToolPolicy(tool_rules(settings.tools), tool_rules(settings.tools_need_approval))


def tool_limits(settings: Settings) -> ToolLimits:
    return ToolLimits(
        max_steps=settings.max_steps,
        at_once=settings.tools_at_once,
        timeout_s=settings.tool_timeout_s,
        max_result_chars=settings.max_tool_result_chars,
    )


class ToolsTopic(ModelsTopic):
    """Another source of tools is one more in `tool_sources`."""

    python_tools = providers.Singleton(PythonTools.installed, threads=ModelsTopic.settings.provided.tool_threads)
    tool_sources = providers.List(python_tools)
    toolbox = providers.Singleton(Toolbox, tool_sources, providers.Callable(tool_policy, ModelsTopic.settings))
    tool_loop = providers.Singleton(
        ToolLoop,
        ModelsTopic.chat_model,
        toolbox,
        clock=ModelsTopic.clock,
        telemetry=ModelsTopic.telemetry,
        limits=providers.Callable(tool_limits, ModelsTopic.settings),
    )

    loops: LongLived = ()
    closing: LongLived = (toolbox,)
