"""A server as an operator names it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_TIMEOUT_S = 60.0
DEFAULT_MAX_MESSAGE_BYTES = 1024 * 1024


class Approval(StrEnum):
    """Which of a server's tools a person must agree to.

    `annotated`: those that may destroy something by what they say of themselves, as the specification reads it (a tool
    that says nothing may). `declared`: only those that say `destructiveHint` themselves. `always`: all. `never`: none.
    """

    ANNOTATED = "annotated"
    DECLARED = "declared"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class McpServer:
    """One that is asked over HTTP at `url`, or one that is started by `command`: exactly one of them is given.

    `name`: up to 32 small letters, digits, ``-`` and single ``_``, the last of these not at its end. `env` is all that
    a command is given beside the few variables that any program needs. `max_message_bytes`: of one JSON-RPC message.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = DEFAULT_TIMEOUT_S
    approval: Approval = Approval.ANNOTATED
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
