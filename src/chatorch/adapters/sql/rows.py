"""Rows to model and back. Every column is named here once for each direction."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, select

from chatorch.adapters.sql.outcomes import to_outcome, to_usage, usage_values
from chatorch.adapters.sql.parts import PARTS, to_content
from chatorch.adapters.sql.tables import messages, runs, threads, users
from chatorch.adapters.sql.tails import CONTENT
from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    Role,
    RunId,
    Thread,
    ThreadId,
)
from chatorch.domain.model.generation import AS_USUAL, OF_TOOLS, Generation
from chatorch.domain.model.identity import CHAT_ALONE, Scope, User, UserId
from chatorch.domain.model.parts import Part
from chatorch.domain.model.run import INTERRUPTED, Interaction, Run, RunStatus
from chatorch.domain.model.tools import CallStatus, ToolUse
from chatorch.ports.execution_store import RunEnd

AnyRow = Row[*tuple[Any, ...]]
Values = dict[str, Any]

_ROLES = {role.value: role for role in Role}
_MESSAGE_STATUSES = {status.value: status for status in MessageStatus}

SELECT_USER = select(users)
NO_PASSWORD = ""
"""In place of a hash. No NULL: the release before would hash that, and fail; this it takes for a wrong hash."""
SELECT_THREAD = select(threads)
SELECT_MESSAGE = select(
    messages.c.id,
    messages.c.thread_id,
    messages.c.position,
    case((messages.c.of_tools, Role.TOOL.value), else_=messages.c.role).label("role"),
    CONTENT.label("content"),
    messages.c.status,
    messages.c.created_at,
    messages.c.run_id,
    messages.c.metadata,
)
"""Without its parts."""
SELECT_WHOLE_MESSAGE = SELECT_MESSAGE.add_columns(PARTS.label("parts"))
SELECT_RUN = select(runs, CONTENT.label("text"), PARTS.label("parts")).join_from(
    runs, messages, messages.c.id == runs.c.message_id
)
"""The run with its content, which is that of the assistant's message."""


def to_user(row: AnyRow) -> User:
    return User(
        id=UserId(row.id),
        username=row.username,
        password_hash=row.password_hash or None,
        scopes=_to_scopes(row.scopes),
        disabled=row.disabled,
        created_at=row.created_at,
        password_changed_at=row.password_changed_at,
        generation=row.generation,
        tools=None if row.tools is None else tuple(row.tools.split(",")) if row.tools else (),
    )


def _to_scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in text.split())


def _scopes_text(scopes: frozenset[Scope]) -> str:
    return " ".join(sorted(scopes))


def tools_text(tools: tuple[str, ...] | None) -> str | None:
    return None if tools is None else ",".join(tools)


def user_values(user: User) -> Values:
    return {
        "id": user.id,
        "username": user.username,
        "password_hash": user.password_hash or NO_PASSWORD,
        "scopes": _scopes_text(user.scopes),
        "disabled": user.disabled,
        "created_at": user.created_at,
        "password_changed_at": user.password_changed_at,
        "generation": user.generation,
        "tools": tools_text(user.tools),
    }


def to_thread(row: AnyRow) -> Thread:
    return Thread(
        id=ThreadId(row.id),
        owner_id=UserId(row.owner_id),
        title=row.title,
        metadata=row.metadata,
        created_at=row.created_at,
        updated_at=row.updated_at,
        client_ref=row.client_ref,
        stored=row.stored,
    )


def thread_values(
    owner_id: UserId,
    thread_id: ThreadId,
    title: str,
    now: datetime,
    client_ref: str | None = None,
    stored: bool = True,  # a column
) -> Values:
    """Of a new thread."""
    return {
        "id": thread_id,
        "owner_id": owner_id,
        "title": title,
        "metadata": {},
        "created_at": now,
        "updated_at": now,
        "client_ref": client_ref,
        "stored": stored,
    }


def to_message(row: AnyRow) -> Message:
    # By place, and the enums by table: a history is a hundred of these, and by name each takes five times as long.
    id_, thread_id, position, role, content, status, created_at, run_id, metadata, *rows = row
    return Message(
        id=id_,
        thread_id=thread_id,
        position=position,
        role=_ROLES[role],
        content=content,
        status=_MESSAGE_STATUSES[status],
        created_at=created_at,
        run_id=run_id,
        metadata=metadata,
        parts=_to_parts(content, rows[0]) if rows and rows[0] is not None else (),
    )


def _to_parts(content: str, rows: str) -> tuple[Part, ...]:
    whole = to_content(content, rows)
    return () if whole.text_only else whole.parts


def message_values(message: Message, timestamp: str | None = None) -> Values:
    """`timestamp` is the client's word for when it was written."""
    return {
        "id": message.id,
        "thread_id": message.thread_id,
        "position": message.position,
        "role": (Role.ASSISTANT if message.role is Role.TOOL else message.role).value,
        "of_tools": message.role is Role.TOOL,
        "content": message.content,
        "status": message.status.value,
        "created_at": message.created_at,
        "run_id": message.run_id,
        "metadata": message.metadata,
        "client_timestamp": timestamp,
        "superseded": False,
    }


def to_run(row: AnyRow) -> Run:
    return Run(
        id=RunId(row.id),
        thread_id=ThreadId(row.thread_id),
        owner_id=UserId(row.owner_id),
        user_message_id=MessageId(row.user_message_id),
        message_id=MessageId(row.message_id),
        status=RunStatus(row.status),
        model=row.model,
        created_at=row.created_at,
        epoch=row.epoch,
        seq=row.seq,
        content=to_content(row.text, row.parts),
        finished_at=row.finished_at,
        outcome=to_outcome(row),
        generation=_to_generation(row),
        background=row.background,
        scopes=CHAT_ALONE if row.scopes is None else _to_scopes(row.scopes),
    )


def new_run_values(run: Run, guest_label: str | None) -> Values:
    return {
        "id": run.id,
        "thread_id": run.thread_id,
        "owner_id": run.owner_id,
        "user_message_id": run.user_message_id,
        "message_id": run.message_id,
        "status": run.status.value,
        "model": run.model,
        "created_at": run.created_at,
        "epoch": run.epoch,
        "seq": run.seq,
        "heartbeat": 0,
        "cancel_requested": False,
        "guest_label": guest_label,
        **_generation_values(run.generation),
        "background": run.background,
        "scopes": None if run.scopes == CHAT_ALONE else _scopes_text(run.scopes),
    }


def _to_generation(row: AnyRow) -> Generation:
    if not (row.generation or row.offer):
        return AS_USUAL
    return Generation(**(row.generation or {}), **(row.offer or {}))


def _generation_values(generation: Generation) -> Values:
    asked = generation.asked()
    offer = {name: asked.pop(name) for name in OF_TOOLS if name in asked}
    return {"generation": asked or None, "offer": offer or None}


def to_interaction(row: AnyRow) -> Interaction:
    return Interaction(
        run_id=RunId(row.run_id),
        thread_id=ThreadId(row.thread_id),
        user_id=UserId(row.user_id),
        model=row.model,
        status=RunStatus(row.status),
        usage=to_usage(row),
        first_piece_ms=row.first_piece_ms,
        duration_ms=row.duration_ms,
        error_code=row.error_code,
        created_at=row.created_at,
        guest_label=row.guest_label,
        attempts=row.attempts,
        steps=row.steps,
        tools=tuple(ToolUse(name, CallStatus(status), ms) for name, status, ms in row.tools or ()),
    )


def interaction_values(record: Interaction) -> Values:
    return {
        "run_id": record.run_id,
        "thread_id": record.thread_id,
        "user_id": record.user_id,
        "model": record.model,
        "status": record.status.value,
        **usage_values(record.usage),
        "first_piece_ms": record.first_piece_ms,
        "duration_ms": record.duration_ms,
        "error_code": record.error_code,
        "created_at": record.created_at,
        "guest_label": record.guest_label,
        "attempts": record.attempts,
        "steps": record.steps,
        "tools": [[use.name, use.status.value, use.duration_ms] for use in record.tools] or None,
    }


def interaction(row: AnyRow, end: RunEnd | None = None) -> Interaction:
    """The record of a run's end; without a `RunEnd`, of one that nobody was left to measure."""
    outcome = end.outcome if end else replace(INTERRUPTED, usage=to_usage(row))
    return Interaction(
        run_id=RunId(row.id),
        thread_id=ThreadId(row.thread_id),
        user_id=UserId(row.owner_id),
        model=row.model,
        status=outcome.status,
        usage=outcome.usage,
        first_piece_ms=end.first_piece_ms if end else None,
        duration_ms=end.duration_ms if end else None,
        error_code=outcome.error.code if outcome.error else None,
        created_at=row.created_at,
        guest_label=row.guest_label,
        attempts=row.epoch,
        steps=end.tally.steps if end and end.tally else 1,
        tools=end.tally.tools if end and end.tally else (),
    )
