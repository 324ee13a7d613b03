"""Who may do what: pure rules, which raise where something is not allowed. Nothing here looks anything up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from chatorch.domain.model.call_answers import require_calls_answered
from chatorch.domain.model.calls import calls_in
from chatorch.domain.model.conversation import OUR_THREADS, NewMessage, Role
from chatorch.domain.model.errors import (
    GuestThread,
    InsufficientScope,
    InvalidField,
    ModelNotAllowed,
    RoleNotAllowed,
    UserMismatch,
)
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.model_names import ANY_MODEL, ONE_PROVIDER, ModelAt, ModelNames
from chatorch.domain.model.text import blank

MAX_CONTENT_CHARS = 1_000_000
"""Of one message, where the operator's limit does not count: no request is longer."""
MAX_GUESTS_METADATA_CHARS = 1024
"""Escaped, so that these are bytes. Nobody ever gets to see it, and 16 KiB of it would be most of what is stored."""


@dataclass(frozen=True, slots=True)
class ChatPolicy:
    """What the operator allows. Every limit is a setting.

    `allowed_models` is what a client may name besides `default_model`, each as `model_names` reads it; ``name:*`` in it
    allows any model of that provider, ``*`` any of every provider that is not in `closed_providers`.
    `max_tool_result_chars` (code points) is for a client's own tools, as `ToolLimits` has it for the operator's.
    """

    default_model: str
    allowed_models: frozenset[str] = field(default_factory=frozenset)
    client_system: bool = True
    max_content_chars: int = 2000
    max_tool_result_chars: int = 50_000
    max_messages: int = 1000
    model_names: ModelNames = ONE_PROVIDER
    closed_providers: frozenset[str] = frozenset()

    def allows(self, model: str) -> bool:
        if model == self.default_model or model in self.allowed_models:
            return True
        find = self.model_names.find
        wanted = find(model)
        if not wanted.model:
            return False
        listed = {find(name) for name in (self.default_model, *self.allowed_models) if name != ANY_MODEL}
        if wanted in listed or ModelAt(wanted.provider, ANY_MODEL) in listed:
            return True
        return ANY_MODEL in self.allowed_models and wanted.provider not in self.closed_providers

    @property
    def named_models(self) -> tuple[str, ...]:
        """Those that can be listed, the default one first: what ``*`` lets in besides has no end."""
        rest = sorted(name for name in self.allowed_models if self.model_names.find(name).model != ANY_MODEL)
        return (self.default_model, *(name for name in rest if name != self.default_model))

    def model_for(self, requested: str | None) -> str:
        """The model to use. Raises `ModelNotAllowed`."""
        if requested is None:
            return self.default_model
        if not self.allows(requested):
            raise ModelNotAllowed
        return requested

    def check_messages(self, messages: Sequence[NewMessage], *, opens_thread: bool, any_length: bool = False) -> None:
        """Raises `InvalidField` or `RoleNotAllowed` unless these messages may be put into a thread."""
        most = MAX_CONTENT_CHARS if any_length else self.max_content_chars
        if not 1 <= len(messages) <= self.max_messages:
            raise InvalidField("messages", f"must be 1 to {self.max_messages} messages")
        for index, message in enumerate(messages):
            self._check_content(f"messages.{index}.content", message, most)
            if not self._role_allowed(message.role, opens_thread=opens_thread):
                raise RoleNotAllowed(f"messages.{index}.role: {message.role} is not allowed here")
        if messages[-1].role not in (Role.USER, Role.TOOL):
            raise InvalidField("messages", "the last message must be the user's, or what came of calls of tools")
        if all(message.role is not Role.USER for message in messages):
            raise InvalidField("messages", "one must be the user's")
        require_calls_answered(messages)

    def _check_content(self, field: str, message: NewMessage, most: int) -> None:
        if message.role is Role.TOOL or calls_in(message.parts):  # which need no words
            if sum(len(part.body) for part in message.parts) > MAX_CONTENT_CHARS:
                raise InvalidField(field, f"must be at most {MAX_CONTENT_CHARS} characters")
            return
        if not 1 <= len(message.content) <= most:
            raise InvalidField(field, f"must be 1 to {most} characters")
        if blank(message.content):
            raise InvalidField(field, "must not be blank")

    def check_generation(self, generation: Generation) -> None:
        """Raises `RoleNotAllowed` for rules of the client's own, where it may give none."""
        if generation.instructions is not None and not self.client_system:
            raise RoleNotAllowed("instructions: not allowed here")

    def check_guests(self, messages: Sequence[NewMessage], generation: Generation) -> None:
        """Raises `InvalidField` unless it is one of the user's, behind at most one of the system's.

        What a guest sends is stored for nobody to read again, so a whole history is refused.
        """
        roles = [message.role for message in messages]
        if roles not in ([Role.USER], [Role.SYSTEM, Role.USER]):
            system = " (before it, one of the system's)" if self.client_system else ""
            raise InvalidField("messages", f"must be one message of the user's{system}: a guest has one turn")
        if generation.tools:
            raise InvalidField("tools", "a guest has one turn, so nobody could say what came of a call")
        for index, message in enumerate(messages):
            if len(json.dumps(message.metadata)) > MAX_GUESTS_METADATA_CHARS:
                problem = f"must be at most {MAX_GUESTS_METADATA_CHARS} characters of JSON from a guest"
                raise InvalidField(f"messages.{index}.metadata", problem)

    def _role_allowed(self, role: Role, *, opens_thread: bool) -> bool:
        match role:
            case Role.USER:
                return True
            case Role.ASSISTANT:
                return opens_thread
            case Role.SYSTEM:
                return opens_thread and self.client_system
            case Role.TOOL:
                return opens_thread


def require_scope(principal: Principal, scope: Scope) -> None:
    """Raises `InsufficientScope`."""
    if scope not in principal.scopes:
        raise InsufficientScope


def require_own_label(principal: Principal, user_id: str | None) -> None:
    """A `user_id` beside a token must be absent or the token's own. Raises `UserMismatch`."""
    if user_id is not None and not principal.guest and user_id != principal.user_id:
        raise UserMismatch


def require_own_ref(client_ref: str | None) -> None:
    """A client's id for a thread is not taken for one of ours. Raises `InvalidField`."""
    if client_ref is not None and client_ref.startswith(OUR_THREADS):
        raise InvalidField("client_ref", f"must not begin with {OUR_THREADS}, as our own ids do")


def require_no_guest_thread(principal: Principal, thread_id: str | None) -> None:
    """A guest has one turn. Raises `GuestThread`."""
    if principal.guest and thread_id is not None:
        raise GuestThread
