"""Standard input, output and error, which may be closed, full, or in an encoding that lacks what is to be shown."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import cast


class InputRefused(Exception):
    """Nothing can be read. Its text is one line that says why."""


def open_closed_streams() -> None:
    """Where they are closed, what is opened next would get their numbers, and then all that is written to them."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def show_all_text() -> None:
    r"""From now on what an encoding lacks is shown as ``\u00fc``, in place of an error; lone surrogates too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def read_input(read: Callable[[TextIOWrapper], str]) -> str:
    """What `read` takes from standard input, which is UTF-8 whatever the locale says. Raises `InputRefused`."""
    stdin = cast("TextIOWrapper", sys.stdin)
    try:
        stdin.reconfigure(encoding="utf-8", errors="strict")
        return read(stdin)
    except UnicodeDecodeError:
        raise InputRefused("standard input must be UTF-8 text") from None
    except OSError as error:
        raise InputRefused(f"standard input cannot be read ({error.strerror})") from None


def give_up_output() -> None:
    """What is still to be written goes nowhere, or Python would try it again at the end, and complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
