"""One line an event, and nothing in it that should not be there."""

import asyncio
import errno
import io
import logging
import multiprocessing
import os
import traceback
import warnings

import pytest
import structlog

from tests.support.fakes import settle
from tests.support.logged import logged

CANARY = "canary-4711"


def test_an_event_is_one_line_of_json_with_level_and_time():
    with logged() as out:
        structlog.get_logger().info("run_ended", run_id="run_1", pieces=3)
    (line,) = out.lines
    assert line.items() >= {"event": "run_ended", "level": "info", "run_id": "run_1", "pieces": 3}.items()
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_line_breaks_and_terminal_sequences_are_made_visible(log_format):
    nasty = "a\r\nb\x1b[31mc\x9b31md\u2028e\u202ef\ud800g\x00\x7f"
    with logged(log_format) as out:
        structlog.get_logger().info(nasty, value=nasty, inner={"k\n": [nasty]}, strange=ValueError(nasty))
    assert out.text.count("\n") == 1
    assert not set(out.text.rstrip("\n")) & set("\r\x1b\x9b\u2028\u202e\x00\x7f\ud800")


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "token", "access_token", "password", "client_secret", "secret_key", "api_key",
     "x-api-key", "set-cookie"],
)  # fmt: skip
def test_what_is_named_like_a_secret_is_blanked_wherever_it_stands(name):
    with logged() as out:
        structlog.get_logger().info("e", **{name: CANARY}, headers={name: CANARY}, many=[{name: [CANARY]}])
    assert CANARY not in out.text


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {CANARY}",
        f"basic {CANARY}",
        f"sk-{CANARY}",
        f"ek_{CANARY}",
        f"eyJ{CANARY}.eyJ.x",
        f"postgresql://ada:{CANARY}@db/x",
    ],
)
def test_what_looks_like_a_secret_is_blanked_under_any_name(value):
    with logged() as out:
        structlog.get_logger().info("e", note=f"with {value} in it")
    assert CANARY not in out.text
    assert "with " in out.text


def test_counts_of_tokens_are_no_secrets():
    with logged() as out:
        structlog.get_logger().info("e", prompt_tokens=7, total_tokens=9)
    assert out.lines[0].items() >= {"prompt_tokens": 7, "total_tokens": 9}.items()


def fail_deeply() -> None:
    try:
        {}[CANARY]
    except KeyError as cause:
        raise ValueError(CANARY) from cause


def test_an_exception_is_told_by_types_and_places_without_its_messages():
    with logged() as out:
        try:
            fail_deeply()
        except ValueError:
            structlog.get_logger().exception("it_failed")
    (line,) = out.lines
    assert [error["type"] for error in line["error"]] == ["ValueError", "KeyError"]
    assert line["error"][0]["frames"][-1].endswith(":fail_deeply")
    assert CANARY not in out.text


def test_the_members_of_an_exception_group_are_told_too():
    group = ExceptionGroup(CANARY, [KeyError(CANARY), OSError(CANARY)])
    with logged() as out:
        structlog.get_logger().error("it_failed", exc_info=group)
    assert [error["type"] for error in out.lines[0]["error"]] == ["ExceptionGroup", "KeyError", "OSError"]
    assert CANARY not in out.text


def test_libraries_are_heard_from_warning_on_in_the_same_shape():
    with logged() as out:
        logging.getLogger("openai").info(CANARY)
        logging.getLogger("sqlalchemy.pool").warning("pool of %d is used up", 5)
        logging.getLogger("uvicorn.error").info("Application startup complete.")
        logging.getLogger("uvicorn.error").error("it failed")
        logging.getLogger("uvicorn.access").warning(CANARY)
    assert [(line["event"], line["level"], line["logger"]) for line in out.lines] == [
        ("pool of 5 is used up", "warning", "sqlalchemy.pool"),
        ("it failed", "error", "uvicorn.error"),
    ]


def test_a_response_that_is_ended_before_its_time_is_no_error_of_ours():
    with logged() as out:
        logging.getLogger("uvicorn.error").error("ASGI callable returned without completing response.")
    assert [(line["event"], line["level"]) for line in out.lines] == [("response_cut_short", "info")]


async def test_a_forgotten_failure_of_a_task_does_not_tell_its_message():
    async def fails() -> None:
        raise ValueError(CANARY)

    with logged() as out:
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        del task
        await settle()
    (line,) = out.lines
    assert line["event"] == "Task exception was never retrieved"
    assert line["error"][0]["type"] == "ValueError"
    assert CANARY not in out.text


def test_a_warning_of_pythons_becomes_an_event():
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with logged() as out:
            warnings.warn("this is old", DeprecationWarning, stacklevel=1)
    assert "this is old" in out.lines[0]["event"]


def test_a_traceback_that_comes_as_text_loses_its_message():
    with logged() as out:
        try:
            fail_deeply()
        except ValueError:
            logging.getLogger("uvicorn.error").error(traceback.format_exc())  # noqa: TRY400  # as uvicorn does
    (line,) = out.lines
    assert line["error"][0]["type"] == "ValueError"
    assert line["error"][0]["frames"][-1].endswith(":fail_deeply")
    assert CANARY not in out.text


@pytest.mark.parametrize(
    "before", ["", "ConnectionResetError: [Errno 104]\n\nThe above exception was the direct cause:\n\n"]
)
def test_a_traceback_of_our_own_error_is_told_in_its_own_words(before: str):
    """Whatever it was raised from; that may have no traceback of its own."""
    text = before + (
        "Traceback (most recent call last):\n"
        '  File "/x/lock.py", line 5, in acquire\n    raise StoreLocked(...)\n'
        "chatorch.adapters.sql.lock.StoreLocked: Another chatorch process uses the database: stop it.\n"
    )
    with logged() as out:
        logging.getLogger("uvicorn.error").error(text)
    assert out.lines[0]["event"] == "Another chatorch process uses the database: stop it."


def test_events_below_the_level_are_not_written():
    with logged(level="warning") as out:
        structlog.get_logger().info("quiet")
        logging.getLogger("uvicorn.error").info("quiet")
        structlog.get_logger().warning("loud")
    assert [line["event"] for line in out.lines] == ["loud"]


def test_what_is_bound_to_the_context_is_on_every_line():
    with logged() as out, structlog.contextvars.bound_contextvars(request_id="req-1", run_id="run-1"):
        structlog.get_logger().info("e")
        logging.getLogger("sqlalchemy").warning("w")
    assert [(line["request_id"], line["run_id"]) for line in out.lines] == [("req-1", "run-1")] * 2


def say_something() -> tuple[int, list[dict[str, object]]]:
    with logged() as out:
        structlog.get_logger().info("e")
        logging.getLogger("sqlalchemy").warning("w")
    return os.getpid(), out.lines


def test_of_several_workers_each_line_says_who_wrote_it_and_of_one_process_none_need():
    with multiprocessing.get_context("spawn").Pool(1) as worker:
        pid, lines = worker.apply(say_something)
    assert pid != os.getpid()
    assert [line["pid"] for line in lines] == [pid, pid]
    assert not any("pid" in line for line in say_something()[1])


class Full(io.StringIO):
    """What a full disk, or a pipe that nobody reads, does."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_log_that_cannot_be_written_harms_nobody():
    with logged(stream=Full()):
        structlog.get_logger().info("e")
        logging.getLogger("uvicorn.error").error("e")


def test_a_secret_inside_something_that_is_no_text_is_blanked_too():
    with logged() as out:
        structlog.get_logger().info("e", a=ValueError(f"Bearer {CANARY}"), b=f"sk-{CANARY}".encode())
    assert CANARY not in out.text
