"""What chat does: one class a topic, talking to ports only."""

from chatorch.domain.services.admission import Admission, UserCap
from chatorch.domain.services.commands import RetryChat, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.execution.executor import Executor, ExecutorSettings
from chatorch.domain.services.execution.lease_reaper import LeaseReaper
from chatorch.domain.services.execution.takeovers import TakeoverLimits, Takeovers
from chatorch.domain.services.guest_admission import GuestAdmission, GuestLimits
from chatorch.domain.services.identity.identify import Identify
from chatorch.domain.services.identity.sign_in import Grant, SignIn
from chatorch.domain.services.presence import Presence
from chatorch.domain.services.runs import Answer, Runs

__all__ = [
    "Admission",
    "Answer",
    "Conversations",
    "Executor",
    "ExecutorSettings",
    "Grant",
    "GuestAdmission",
    "GuestLimits",
    "Identify",
    "LeaseReaper",
    "Presence",
    "RetryChat",
    "Runs",
    "SignIn",
    "StartChat",
    "TakeoverLimits",
    "Takeovers",
    "UserCap",
]
