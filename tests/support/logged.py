"""What was logged, line by line, as an operator would see it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from chatorch.entrypoints.process.logs import HEARD_FROM, QUIET, configure_logs


class Logged:
    def __init__(self, stream: io.StringIO | None = None) -> None:
        self.stream = stream or io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of logs in JSON."""
        return [json.loads(line) for line in self.text.splitlines()]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@contextmanager
def logged(log_format: str = "json", level: str = "info", stream: io.StringIO | None = None) -> Iterator[Logged]:
    """The real configuration, into memory; everything is as before afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    config = structlog.get_config()
    found = Logged(stream)
    structlog.contextvars.clear_contextvars()
    configure_logs(log_format=log_format, level=level, stream=found.stream)
    try:
        yield found
    finally:
        structlog.configure(**config)
        structlog.contextvars.clear_contextvars()
        logging.captureWarnings(False)
        root.handlers[:], level_before = before
        root.setLevel(level_before)
        for name in (*HEARD_FROM, *QUIET):
            logger = logging.getLogger(name)
            logger.disabled = False
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
