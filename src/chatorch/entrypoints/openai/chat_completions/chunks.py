"""An answer in chunks: https://platform.openai.com/docs/api-reference/chat/streaming."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from zlib import crc32

import msgspec

from chatorch.domain.model.content import START, Draft, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.parts import Facts, PartKind
from chatorch.domain.model.run import Run, RunCompleted, RunEvent, RunStarted, TerminalEvent
from chatorch.entrypoints.common.error_responses import run_failure
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.failures import Failure, domain_failure
from chatorch.entrypoints.common.pumped import PING
from chatorch.entrypoints.common.views import Json
from chatorch.entrypoints.openai.chat_completions import completion
from chatorch.entrypoints.openai.chat_completions.told import (
    BARE,
    NOTHING_TOLD,
    WORDS,
    PartEvent,
    Told,
    after,
    chars_told,
    is_clients,
)
from chatorch.entrypoints.openai.errors import OPENAI_ERRORS

CHUNK = "chat.completion.chunk"
DONE = b"data: [DONE]\n\n"
BEGUN_ANEW = Failure(503, "run_interrupted", "The answer is begun anew elsewhere, and not as it was.")

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Behind:
    """Who was told so much is told it again, `again` so far: nobody can take back what was sent as a chunk."""

    told: Told
    again: Told


class _Over:
    """There is nothing more to say."""


OVER = _Over()


class ChunkEncoder(EventEncoder):
    """`include_usage`: a chunk of its own has the tokens, as ``stream_options`` asks.

    Chunks append. So what a snapshot says once more is left out, where it is the same; where it is not, that is an
    error. Events that begin at the start, one after the other, are the state's; a checksum is all it keeps of them.
    """

    def __init__(self, run: Run, *, include_usage: bool = False) -> None:
        self.state: Told | _Behind | _Over | None = None
        self._run_id = run.id
        self._head = completion.head(run, CHUNK)
        self._usage: Json = {"usage": None} if include_usage else {}
        self._words = {kind: self._form({member: ""}) for kind, member in WORDS.items()}
        self._arguments: dict[int, bytes] = {}

    @property
    def dialect(self) -> Hashable:
        return type(self), bool(self._usage)

    def encode(self, event: RunEvent) -> bytes:
        state = self.state
        if type(event) is PartDelta and type(state) is tuple and event.kind in WORDS:  # as nearly always
            text = event.text
            length, checksum, calls, call = state
            self.state = length + len(text), crc32(text.encode(), checksum), calls, call
            return self._words[event.kind] % _encode(text)
        if state is OVER:
            return b""
        match event:
            case RunStarted():
                self.state = NOTHING_TOLD
                return self._begin()
            case PartDelta() | PartStarted() | PartEnded():
                return self._part(event)
            case Snapshot():
                return self._snapshot(event)
            case _:
                return self._terminal(event)

    def keep_alive(self) -> bytes:
        return PING

    def end(self) -> bytes:
        return DONE

    def cut_off(self) -> bytes:
        """A stream that only ended would be taken for an answer."""
        return b"" if self.state is OVER else self._error(domain_failure(InvalidToken())) + DONE

    # -- events ----------------------------------------------------------------------------------------------------

    def _part(self, event: PartEvent) -> bytes:
        state = self.state
        if isinstance(state, _Over):
            return b""
        if isinstance(state, _Behind):
            return self._again(state, event)
        before = state or NOTHING_TOLD
        self.state = after(before, event)
        match event:
            case PartDelta(kind=kind) if kind in WORDS:
                return self._words[kind] % _encode(event.text)
            case PartDelta() if chars_told(before, event):
                return self._argue(before, event.text)
            case PartStarted(part=part) if is_clients(part):
                return self._call(before[2], part.head)
            case PartStarted(part=part) if part.kind is PartKind.SOURCE:
                sources = completion.citations(part.head)
                return self._chunk({"annotations": sources}) if sources else b""
            case PartEnded() if before[3] == BARE:
                return self._argue(before, completion.NO_ARGUMENTS)
        return b""

    def _snapshot(self, snapshot: Snapshot) -> bytes:
        draft = Draft(snapshot.content, snapshot.seq - snapshot.content.tip)
        at, told = draft.base + START, self.state
        frames = []
        if isinstance(told, _Behind):
            told = told.told
        if isinstance(told, tuple) and told != NOTHING_TOLD:
            self.state = _Behind(told, NOTHING_TOLD)
        else:
            self.state = NOTHING_TOLD
            frames += [] if told else [self._begin()]
        while (event := draft.next_after(at)) is not None:
            frames.append(self._part(event))
            at = event.seq
        return b"".join(frames)

    def _again(self, behind: _Behind, event: PartEvent) -> bytes:
        """What was told already is not sent: only compared."""
        told, again = behind.told, behind.again
        left = told[0] - again[0]
        beyond = None
        if isinstance(event, PartDelta) and chars_told(again, event) > left:
            beyond, event = replace(event, text=event.text[left:]), replace(event, text=event.text[:left])
        again = after(again, event)
        if again[0] < told[0]:
            self.state = _Behind(told, again)
            return b""
        if again[1] != told[1]:
            return self._error(BEGUN_ANEW)
        self.state = again
        return self._part(beyond) if beyond else b""

    def _terminal(self, event: TerminalEvent) -> bytes:
        if not isinstance(event, RunCompleted):
            return self._error(run_failure(self._run_id, event))
        if isinstance(self.state, _Behind):
            return self._error(BEGUN_ANEW)
        asks = isinstance(self.state, tuple) and self.state[2] > 0
        self.state = OVER
        last = self._chunk({}, completion.finish_reason(event, asks=asks))
        if not self._usage:
            return last
        return last + _data({**self._head, "choices": [], "usage": completion.usage_view(event.usage)})

    # -- frames ----------------------------------------------------------------------------------------------------

    def _begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _data({**self._head, "choices": [choice], **self._usage})

    def _call(self, index: int, head: Facts) -> bytes:
        function = {"name": head["name"], "arguments": ""}
        return self._chunk(
            {"tool_calls": [{"index": index, "id": head["id"], "type": "function", "function": function}]}
        )

    def _argue(self, told: Told, text: str) -> bytes:
        index = told[2] - 1
        if (form := self._arguments.get(index)) is None:
            delta = {"tool_calls": [{"index": index, "function": {"arguments": ""}}]}
            form = self._arguments[index] = self._form(delta)
        return form % _encode(text)

    def _form(self, delta: Json) -> bytes:
        """What `%` makes a chunk of, with a text that is JSON already in place of the empty one."""
        left, right = self._chunk(delta).rsplit(b'""', 1)
        return left.replace(b"%", b"%%") + b"%b" + right.replace(b"%", b"%%")

    def _error(self, failure: Failure) -> bytes:
        self.state = OVER
        return _data({"error": OPENAI_ERRORS.error(failure)})


def _data(body: Json) -> bytes:
    return b"data: %b\n\n" % _encode(body)
