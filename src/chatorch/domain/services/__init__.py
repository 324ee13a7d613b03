"""What chat does: one class a topic, talking to ports only."""

from chatorch.domain.services.authentication import Authentication, Grant
from chatorch.domain.services.commands import RetryChat, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.executions import Executions, ExecutionSettings
from chatorch.domain.services.live import Live
from chatorch.domain.services.recovery import Recovery
from chatorch.domain.services.runs import Answer, Runs

__all__ = [
    "Answer",
    "Authentication",
    "Conversations",
    "ExecutionSettings",
    "Executions",
    "Grant",
    "Live",
    "Recovery",
    "RetryChat",
    "Runs",
    "StartChat",
]
