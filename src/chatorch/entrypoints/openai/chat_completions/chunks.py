"""An answer in chunks: https://platform.openai.com/docs/api-reference/chat/streaming."""

from collections.abc import Hashable
from dataclasses import dataclass
from zlib import crc32

import msgspec

from chatorch.domain.model.content import START, Draft, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import EPOCH_SPAN, Run, RunCompleted, RunEvent, RunStarted, TerminalEvent
from chatorch.entrypoints.common.error_responses import run_failure
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.failures import Failure, domain_failure
from chatorch.entrypoints.common.pumped import PING
from chatorch.entrypoints.common.views import Json
from chatorch.entrypoints.openai.chat_completions import completion
from chatorch.entrypoints.openai.errors import OPENAI_ERRORS

CHUNK = "chat.completion.chunk"
DONE = b"data: [DONE]\n\n"
BEGUN_ANEW = Failure(503, "run_interrupted", "The answer is begun anew elsewhere, and not as it was.")

Told = tuple[int, int]
"""How far a follower was told: the position, and a checksum of all up to there."""

_WORDS = {PartKind.TEXT: "content", PartKind.REASONING: "reasoning_content"}
"""What has its words in a delta, and by which name."""

_PartEvent = PartDelta | PartStarted | PartEnded

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
        self._words = {kind: self._form(member) for kind, member in _WORDS.items()}

    @property
    def dialect(self) -> Hashable:
        return type(self), bool(self._usage)

    def encode(self, event: RunEvent) -> bytes:
        state = self.state
        if type(event) is PartDelta and type(state) is tuple and event.kind in _WORDS:  # as nearly always
            text = event.text
            self.state = event.seq, crc32(text.encode(), state[1])
            return self._words[event.kind] % _encode(text)
        if state is OVER:
            return b""
        match event:
            case RunStarted():
                self.state = event.seq, 0
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

    def _part(self, event: _PartEvent) -> bytes:
        state = self.state
        if isinstance(state, _Over):
            return b""
        if isinstance(state, _Behind):
            return self._again(state, event)
        self.state = _after(state or (START, 0), event)
        match event:
            case PartDelta(kind=kind) if kind in _WORDS:
                return self._words[kind] % _encode(event.text)
            case PartStarted(part=part) if part.kind is PartKind.SOURCE:
                sources = completion.citations(part.head)
                return self._chunk({"annotations": sources}) if sources else b""
        return b""

    def _snapshot(self, snapshot: Snapshot) -> bytes:
        draft = Draft(snapshot.content, snapshot.seq - snapshot.content.tip)
        at, told = draft.base + START, self.state
        frames = []
        if isinstance(told, _Behind):
            told = told.told
        if isinstance(told, tuple) and _place(told) > START:
            self.state = _Behind(told, (at, 0))
        else:
            self.state = (at, 0)
            frames += [] if told else [self._begin()]
        while (event := draft.next_after(at)) is not None:
            frames.append(self._part(event))
            at = event.seq
        return b"".join(frames)

    def _again(self, behind: _Behind, event: _PartEvent) -> bytes:
        """What was told already is not sent: only compared."""
        left = _place(behind.told) - _place(behind.again)
        beyond = None
        if isinstance(event, PartDelta) and len(event.text) > left:
            beyond = PartDelta(event.seq, event.text[left:], event.index, event.kind)
            event = PartDelta(event.seq - len(beyond.text), event.text[:left], event.index, event.kind)
        again = _after(behind.again, event)
        if _place(again) < _place(behind.told):
            self.state = _Behind(behind.told, again)
            return b""
        if again[1] != behind.told[1]:
            return self._error(BEGUN_ANEW)
        self.state = again
        return self._part(beyond) if beyond else b""

    def _terminal(self, event: TerminalEvent) -> bytes:
        if not isinstance(event, RunCompleted):
            return self._error(run_failure(self._run_id, event))
        if isinstance(self.state, _Behind):
            return self._error(BEGUN_ANEW)
        self.state = OVER
        last = self._chunk({}, completion.finish_reason(event))
        if not self._usage:
            return last
        return last + _data({**self._head, "choices": [], "usage": completion.usage_view(event.usage)})

    # -- frames ----------------------------------------------------------------------------------------------------

    def _begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _data({**self._head, "choices": [choice], **self._usage})

    def _form(self, member: str) -> bytes:
        """What `%` makes a chunk of, with a text that is JSON already: that is once a token."""
        left, right = self._chunk({member: ""}).rsplit(b'""', 1)
        return left.replace(b"%", b"%%") + b"%b" + right.replace(b"%", b"%%")

    def _error(self, failure: Failure) -> bytes:
        self.state = OVER
        return _data({"error": OPENAI_ERRORS.error(failure)})


def _data(body: Json) -> bytes:
    return b"data: %b\n\n" % _encode(body)


def _place(told: Told) -> int:
    """Within its epoch."""
    return told[0] % EPOCH_SPAN


def _after(told: Told, event: _PartEvent) -> Told:
    match event:
        case PartDelta():
            said = event.text.encode()
        case PartStarted(part=part):
            said = part.kind.encode()
        case PartEnded():
            said = b"\0"
    return event.seq, crc32(said, told[1])
