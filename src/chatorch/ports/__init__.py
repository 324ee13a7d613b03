"""What the domain needs from the world, as small protocols. Standard library only.

Adapters subclass these, so a missing method fails at construction. Each docstring is the contract; one contract
suite a port in `tests/contracts` runs over every adapter.
"""

from chatorch.ports.admission import AdmissionRule, RunRequest
from chatorch.ports.calls import CallStore
from chatorch.ports.chat_model import ChatModel, Finish, Prompt
from chatorch.ports.client_refs import ClientRefStore
from chatorch.ports.connections import Connections, Mailbox
from chatorch.ports.credentials import CredentialVerifier
from chatorch.ports.empty_threads import EmptyThreadStore
from chatorch.ports.execution_store import ExecutionStore
from chatorch.ports.guests import GuestThreadStore
from chatorch.ports.passwords import PasswordHasher
from chatorch.ports.run_control import RunControl
from chatorch.ports.run_lives import RunLives
from chatorch.ports.run_log import RunLog
from chatorch.ports.runs import RunStore
from chatorch.ports.system import Clock, IdFactory, Spawner
from chatorch.ports.telemetry import ModelTelemetry, RunTelemetry, ToolTelemetry
from chatorch.ports.thread_items import ThreadItemStore, ThreadNoteStore
from chatorch.ports.threads import ThreadStore
from chatorch.ports.tokens import Claims, TokenIssuer
from chatorch.ports.tools import Tools
from chatorch.ports.unstored import UnstoredThreadStore
from chatorch.ports.users import UserStore

__all__ = [
    "AdmissionRule",
    "CallStore",
    "ChatModel",
    "Claims",
    "ClientRefStore",
    "Clock",
    "Connections",
    "CredentialVerifier",
    "EmptyThreadStore",
    "ExecutionStore",
    "Finish",
    "GuestThreadStore",
    "IdFactory",
    "Mailbox",
    "ModelTelemetry",
    "PasswordHasher",
    "Prompt",
    "RunControl",
    "RunLives",
    "RunLog",
    "RunRequest",
    "RunStore",
    "RunTelemetry",
    "Spawner",
    "ThreadItemStore",
    "ThreadNoteStore",
    "ThreadStore",
    "TokenIssuer",
    "ToolTelemetry",
    "Tools",
    "UnstoredThreadStore",
    "UserStore",
]
