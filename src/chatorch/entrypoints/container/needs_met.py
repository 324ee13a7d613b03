"""The container has what each door takes of it. For mypy to read; where it does not hold, mypy says what is missing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatorch.entrypoints.ag_ui.needs import Needs as AgUi
    from chatorch.entrypoints.ai_sdk.needs import Needs as AiSdk
    from chatorch.entrypoints.api.needs import Needs as Api
    from chatorch.entrypoints.chatkit.needs import Needs as ChatKit
    from chatorch.entrypoints.common.needs import Needs as Common
    from chatorch.entrypoints.common.run_responses import Needs as RunResponses
    from chatorch.entrypoints.container.graph import Container
    from chatorch.entrypoints.metrics.needs import Needs as Metrics
    from chatorch.entrypoints.openai.needs import Needs as OpenAI
    from chatorch.entrypoints.ws.needs import Needs as WebSockets

    def met(
        given: Container,
    ) -> tuple[AgUi, AiSdk, Api, ChatKit, Common, RunResponses, Metrics, OpenAI, WebSockets]:
        return given, given, given, given, given, given, given, given, given
