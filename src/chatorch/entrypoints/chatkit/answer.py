"""A run's events as those of one assistant message."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from chatkit.errors import CustomStreamError

from chatorch.domain.model.run import (
    TERMINAL_EVENTS,
    CancelReason,
    MessageDelta,
    MessageSnapshot,
    Run,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
    Silence,
    TerminalEvent,
)
from chatorch.entrypoints.chatkit.frames import SILENT, AnswerFrames, Encoded


async def answer_events(run: Run, events: AsyncGenerator[RunEvent | Silence]) -> AsyncGenerator[Encoded]:
    """Raises `CustomStreamError` at the end of a run that ended without an answer, and not because its user said so."""
    frames = AnswerFrames(run.message_id, run.thread_id, run.created_at)
    parts: list[str] = []
    async with aclosing(events):
        async for event in events:
            match event:
                case MessageDelta():
                    parts.append(event.text)
                    yield frames.delta(event.text)
                case Silence():
                    yield SILENT
                case RunStarted():
                    for frame in frames.begin():
                        yield frame
                case MessageSnapshot():
                    parts = [event.text]
                    yield frames.replaced(event.text)
                case _ if isinstance(event, TERMINAL_EVENTS):
                    for frame in frames.end("".join(parts)):
                        yield frame
                    _raise_for(event)


def _raise_for(terminal: TerminalEvent) -> None:
    match terminal:
        case RunFailed():
            raise CustomStreamError(terminal.detail, allow_retry=terminal.retryable)
        case RunInterrupted():
            raise CustomStreamError("The answer was interrupted.", allow_retry=True)
        case RunCancelled(reason=CancelReason.SHUTDOWN):
            raise CustomStreamError("The server is restarting.", allow_retry=True)
        case RunCancelled(reason=CancelReason.DETACHED):
            raise CustomStreamError("The answer was stopped, because nobody seemed to follow it.", allow_retry=True)
