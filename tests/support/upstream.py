"""A model provider on loopback, in a process of its own, that does exactly what a test says, sockets included.

It speaks ``POST /v1/chat/completions``, streamed or not, and knows nothing of openai or httpx. Start it once a session
(the fixture `upstream`), and give each test models of its own: how a request is answered depends on its model's name.

**By name.** ``mock-N-D`` streams N pieces, D milliseconds apart (0: as one burst), then `finish_reason`, usage where it
was asked for, `[DONE]`. Not streamed, it answers with the same text after D ms. Any other name answers ``mock-3-0``;
``strict-…`` does, if the request is such that the strictest of providers takes it (`tests.support.strict`).

**By script.** A script is a list of steps; what may go wrong is a step too::

    model = upstream.model(text("Hel", "lo"), reset())                   # a new model's name, with one script
    model = upstream.model([status(429, {"retry-after": "1"})], ANSWER)  # the first request; every later one

    upstream.seen(model)          # what was asked so far: list[Seen]; its `closed_at` tells when the client hung up
    await upstream.until(model, "closed")      # waits, bounded, until the (count=1) client of this model hung up
    model = upstream.model(text("a"), pause("here"), ANSWER)
    await upstream.until(model, "paused")      # the stream stands at its pause
    upstream.release("here")

Steps of a stream, in the order given; the head (200, ``text/event-stream``, chunked) goes out before the first byte:

===========================  =========================================================================================
``text(*pieces, every=s)``   one chunk a piece, `s` seconds apart (default: at once)
``tokens(n, every=s)``       `n` pieces `` tok0``, `` tok1``, …
``chunk(obj)``               any object as one event
``finish(reason)``           the chunk with the finish reason; ``usage(p, c)`` the usage chunk; ``done()`` `[DONE]`
``error(message, …)``        an error object as an event, in the middle of the stream
``raw(data)``                exactly these bytes of body: broken JSON, other line ends, half an event
``comments(every=s)``        keep-alive comments, for ever
``wait(s)``                  says nothing for `s` seconds
``hang()``                   says nothing for ever; first of all steps: not even the head
``pause(name)``              says nothing until the test calls ``release(name)``
``end()``                    the clean end of HTTP; every script that does not say otherwise ends so
``close()``                  FIN, without the end that HTTP asks for
``reset()``                  RST, once the client's kernel has all that was sent before
``cut(k, then)``             from here on only `k` bytes of body, then ``end``, ``close`` or ``reset``
``grains(k)``                from here on the body goes out `k` bytes at a time, each in a segment of its own
``unframed()``               first step: no chunked encoding and no length; closing the connection is the clean end
``head(type, status)``       first step: another content type or status for what follows
``refuses(member, answer)``  first step: a request with this member in its body is answered so (``status(…)``)
``bare(data)``               first step: exactly these bytes, head and all, then FIN
``stale(how)``               first step: on a connection that was used before, ``reset`` or ``close`` without a byte
``strict(word, *members)``   first step: 400 for messages that a strict provider does not take, for this word in one of
                             them, or for one of these members of the request; else what follows
===========================  =========================================================================================

Whole answers, instead of a stream: ``status(code, headers, body)``, where ``{authorization}`` in `body` is replaced by
the request's Authorization header (a provider that echoes the key); ``json_answer(text)``; ``html()``; ``EMPTY``.

Control, for who is not in Python: ``POST /control`` ``{"model", "scripts": [[step, …], …]}``, ``POST /control/release``
``{"name"}``, ``GET /control/seen?model=``, ``GET /control/wait?model=&what=&count=``, ``GET /control/stats``,
``POST /control/clear``. Alone: ``python -m tests.support.upstream [PORT]``; it prints its port once it listens.
"""

import asyncio
import base64
import http.client
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Step = dict[str, Any]
Script = Sequence[Step]

BOUND_S = 5.0
ROOT = Path(__file__).parents[2]


# -- steps ---------------------------------------------------------------------------------------------------------


def text(*pieces: str, every: float = 0.0) -> Step:
    return {"do": "text", "pieces": pieces, "every": every}


def tokens(count: int, every: float = 0.0) -> Step:
    return text(*(f" tok{i}" for i in range(count)), every=every)


def chunk(payload: object) -> Step:
    return raw(b"data: " + json.dumps(payload).encode() + b"\n\n")


def delta(finish_reason: str | None = None, **members: object) -> dict[str, object]:
    """The payload of a `chat.completion.chunk`, as OpenAI sends it; `members` are the delta's."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "mock",
        "choices": [{"index": 0, "delta": members, "logprobs": None, "finish_reason": finish_reason}],
    }


def finish(reason: str = "stop") -> Step:
    return chunk(delta(reason))


def usage(prompt: int = 9, completion: int = 3) -> Step:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return chunk({**delta(), "choices": [], "usage": counts})


def done() -> Step:
    return raw(b"data: [DONE]\n\n")


def error(message: str = "It broke.", kind: str = "server_error", code: object = None) -> Step:
    return chunk({"error": {"message": message, "type": kind, "param": None, "code": code}})


def raw(data: bytes) -> Step:
    return {"do": "raw", "data": base64.b64encode(data).decode()}


def comments(every: float = 0.01) -> Step:
    return {"do": "comments", "every": every}


def wait(seconds: float) -> Step:
    return {"do": "wait", "seconds": seconds}


def hang() -> Step:
    return {"do": "hang"}


def pause(name: str) -> Step:
    return {"do": "pause", "name": name}


def end() -> Step:
    return {"do": "end"}


def close() -> Step:
    return {"do": "close"}


def reset() -> Step:
    return {"do": "reset"}


def cut(after: int, then: str = "end") -> Step:
    return {"do": "cut", "after": after, "then": then}


def grains(size: int) -> Step:
    return {"do": "grains", "size": size}


def unframed() -> Step:
    return {"do": "unframed"}


def head(content_type: str, status: int = 200) -> Step:
    return {"do": "head", "type": content_type, "status": status}


def refuses(member: str, answer: Step) -> Step:
    return {"do": "refuses", "member": member, "answer": answer}


def bare(data: bytes) -> Step:
    return {"do": "bare", "data": base64.b64encode(data).decode()}


def stale(how: str = "reset") -> Step:
    return {"do": "stale", "how": how}


def strict(word: str = "", *members: str) -> Step:
    return {"do": "strict", "word": word, "members": members}


def status(code: int, headers: Mapping[str, str] | None = None, body: str = '{"error": {"message": "no"}}') -> Step:
    return {
        "do": "answer",
        "status": code,
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": body,
    }


def html(body: str = "<html><body>Please sign in.</body></html>") -> Step:
    return status(200, {"content-type": "text/html; charset=utf-8"}, body)


def json_answer(content: str, reason: str | None = "stop") -> Step:
    message = {"role": "assistant", "content": content}
    counts = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    answer = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    return status(200, body=json.dumps({**answer, "usage": counts}))


EMPTY: Script = [end()]
ANSWER: Script = [text("Hello", ", ", "world"), finish(), usage(), done()]
"""An ordinary answer: the text ``Hello, world`` and a usage of 9 and 3 tokens."""


# -- the test's side -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """One request. Times are `time.monotonic()`, which all processes of a machine share.

    `closed_at`: when the client hung up before the answer was over; None where it did not. `connection` numbers the
    TCP connection that it came on; `sent` counts bytes of body; `target` is path and query as they came.
    """

    model: str
    method: str
    target: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int
    at: float
    ended_at: float | None
    closed_at: float | None
    paused: str | None
    sent: int


class Upstream:
    """Starts the server and talks to it. Everything but `until` blocks, for a moment: it never waits for a test."""

    _names = itertools.count(1)

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.upstream_server", "0"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the upstream did not start")
        self.port = int(line)
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.terminate()
        self._process.wait(BOUND_S)

    def model(self, *scripts: Step | Script) -> str:
        """The name of a new model. Steps: one script for all its requests. Lists: one a request, the last for ever."""
        steps = [step for step in scripts if isinstance(step, dict)]
        name = f"scripted{next(self._names)}"
        self.play(name, *([steps] if steps else [script for script in scripts if not isinstance(script, dict)]))
        return name

    def play(self, model: str, *scripts: Script) -> None:
        self._ask("POST", "/control", {"model": model, "scripts": [list(script) for script in scripts]})

    def release(self, name: str) -> None:
        """Lets every stream that stands at this pause, or comes to it later, go on."""
        self._ask("POST", "/control/release", {"name": name})

    def seen(self, model: str = "") -> list[Seen]:
        """All requests for this model, or for any, oldest first."""
        return [Seen(**seen) for seen in self._ask("GET", f"/control/seen?model={model}")]

    @property
    def open_connections(self) -> int:
        """Of clients, the one that asks this not counted."""
        return int(self._ask("GET", "/control/stats")["connections"])

    def clear(self) -> None:
        """Forgets scripts, pauses and what was seen."""
        self._ask("POST", "/control/clear", {})

    async def until(self, model: str, what: str, count: int = 1, within: float = BOUND_S) -> list[Seen]:
        """Waits until `count` requests of this model are ``seen``, ``paused``, ``ended`` or ``closed``; returns those.

        Raises `TimeoutError`.
        """
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
            try:
                path = f"/control/wait?model={model}&what={what}&count={count}"
                writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
        return [Seen(**seen) for seen in json.loads(answer.partition(b"\r\n\r\n")[2])]

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


if __name__ == "__main__":
    from tests.support.upstream_server import main

    main()
