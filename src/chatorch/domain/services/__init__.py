"""What chat does: one class a topic, talking to ports only."""

from chatorch.domain.services.admission import Admission
from chatorch.domain.services.chatkit_hosted.history import HostedHistory
from chatorch.domain.services.chatkit_hosted.sessions import ChatKitOffer, OpenedSession, Sessions
from chatorch.domain.services.commands import RetryChat, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.execution.executor import Executions, ExecutionSettings
from chatorch.domain.services.execution.lease_reaper import Recovery
from chatorch.domain.services.identity.sign_in import Authentication, Grant
from chatorch.domain.services.presence import Live
from chatorch.domain.services.runs import Answer, Runs

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
