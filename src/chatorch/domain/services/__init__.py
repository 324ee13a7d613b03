"""What chat does: one class a topic, talking to ports only."""

from chatorch.domain.services.admission import Admission
from chatorch.domain.services.authentication import Authentication, Grant
from chatorch.domain.services.commands import RetryChat, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.executions import Executions, ExecutionSettings
from chatorch.domain.services.hosted import HostedHistory
from chatorch.domain.services.live import Live
from chatorch.domain.services.recovery import Recovery
from chatorch.domain.services.runs import Answer, Runs
from chatorch.domain.services.sessions import ChatKitOffer, OpenedSession, Sessions

__all__ = [
    "Admission",
    "Answer",
    "Authentication",
    "ChatKitOffer",
    "Conversations",
    "ExecutionSettings",
    "Executions",
    "Grant",
    "HostedHistory",
    "Live",
    "OpenedSession",
    "Recovery",
    "RetryChat",
    "Runs",
    "Sessions",
    "StartChat",
]
