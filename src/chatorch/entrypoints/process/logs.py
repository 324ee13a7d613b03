"""Logging, configured once by an entry point: one line an event, and nothing in it that should not be there."""

import logging
import multiprocessing
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from chatorch.entrypoints.process.log_safety import describe_exception, escape_controls, first_line, redact

QUIET = ("uvicorn.access",)
"""Our own access line replaces these."""

HEARD_FROM = {"uvicorn": logging.WARNING, "uvicorn.error": logging.WARNING, "chatorch": logging.INFO}
"""uvicorn, like any library, from WARNING on: below it they log requests, some bodies, and what we say ourselves."""


def configure_logs(*, log_format: str | None = None, level: str = "info", stream: TextIO | None = None) -> None:
    """Sends structlog's and the standard library's events to `stream` (stderr) as JSON or for the eye.

    `log_format` is ``json``, ``console``, or None: console on a terminal, JSON elsewhere. May be called again.
    Where this process is one of several workers, each line carries its `pid`.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    console = log_format == "console" or (log_format is None and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        *([_with_pid] if multiprocessing.parent_process() is not None else []),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
        escape_controls,  # makes text of whatever it is, so that it can be searched for secrets
        redact,
    ]
    renderer = structlog.dev.ConsoleRenderer(colors=out.isatty()) if console else _as_json
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", Unfailing(out))),
        cache_logger_on_first_use=stream is None,
    )
    _take_over_stdlib(number)


class Unfailing:
    """A stream that takes no for an answer: a full disk or a reader that went away must not end a run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _with_pid(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event["pid"] = os.getpid()
    return event


def _as_json(_logger: Any, _method: str, event: EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _take_over_stdlib(level: int) -> None:
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [_IntoStructlog()]
    root.setLevel(logging.WARNING)
    for name, least in HEARD_FROM.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(level, least))
    for name in QUIET:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
        logger.disabled = True


WITH_ADDRESS = '%s - "WebSocket %s"'
"""uvicorn's line for each WebSocket: it shows the query string, where somebody may have put a token."""

START_FAILED = "Application startup failed. Exiting."
"""uvicorn's line after the one that says why."""

CUT_SHORT = "ASGI callable returned without completing response."
"""uvicorn's error where we end a response before its time, because its client takes nothing, or may have no more."""


class _IntoStructlog(logging.Handler):
    """Hands a library's record on, its first line only: what follows is a traceback or an object's repr."""

    def __init__(self) -> None:
        super().__init__()
        self._log: Any = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "uvicorn.error" and str(record.msg).startswith((WITH_ADDRESS, START_FAILED)):
            return
        if record.msg == CUT_SHORT:
            self._log.info("response_cut_short", logger=record.name)
            return
        if record.name.startswith("chatorch.") and isinstance(record.args, Mapping):  # ours, of arguments with names
            self._log.log(record.levelno, record.msg.partition(":")[0], **record.args)
            return
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        event, members = first_line(message)
        if record.exc_info and record.exc_info[1] is not None:
            members["exc_info"] = record.exc_info[1]
        self._log.log(max(record.levelno, logging.DEBUG), event, logger=record.name, **members)
