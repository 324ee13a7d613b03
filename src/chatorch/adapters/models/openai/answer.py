"""What the payloads of one answer add up to."""

import re
from typing import Any, Literal

import msgspec

from chatorch.adapters.models.openai.chunks import REPLACEMENT, Chunk, chunk_of
from chatorch.adapters.models.openai.reports import report_of
from chatorch.adapters.models.upstream.errors import failure_in_stream
from chatorch.adapters.models.upstream.payloads import Word, values_of
from chatorch.adapters.models.upstream.sse import END, Fault
from chatorch.domain.model.conversation import Usage, UsageSource
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamInvalid
from chatorch.ports.chat_model import Finish

_MAX_TOKENS = 2**31 - 1
_HIGH = re.compile("[\ud800-\udbff]\\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: None = None
    error: None = None
    error_code: None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: Literal[""] | None = None
    message: None = None
    text: None = None
    error: None = None
    error_code: None = None


class _Plain(msgspec.Struct, gc=False):
    """A chunk that has a piece of text and nothing to think about, as nearly all are.

    Whatever is of another form is no fault, but read by `chunk_of`, with ten times the work. So a member in which that
    finds a failure must be named here. Others cost no object.
    """

    choices: tuple[_Choice]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: Any = None
    error: None = None
    errors: None = None
    error_code: None = None
    error_msg: None = None
    error_message: None = None
    base_resp: None = None
    status: None = None
    type: None = None
    x_groq: None = None


_plain = msgspec.json.Decoder(_Plain).decode


class Answer:
    """Takes payloads, gives their text, and remembers how it ended.

    `over`: `[DONE]` came, or a `failure`: a payload was broken, or said that the provider failed; text before it
    counts. `dropped` counts the payloads, and parts of one, that meant nothing.
    """

    __slots__ = (
        "_announced", "_careful", "_choices", "_doubtful", "_high", "_messages", "_reason", "_spoke", "_told",
        "_usage", "dropped", "failure", "over",
    )  # fmt: skip

    def __init__(self) -> None:
        self.over = False
        self.failure: UpstreamError | None = None
        self.dropped = 0
        self._reason: str | None = None
        self._announced = False
        self._doubtful = False  # text came after a finish reason: another beside text means nothing
        self._careful = False  # the next text is not merely to append
        self._choices = False
        self._spoke = False
        self._messages = False
        self._told: str | None = None  # all that was said, where a whole message began it
        self._high = ""
        self._usage: Any = None

    @property
    def announced(self) -> bool:
        """A finish reason came, and no text after it: the text is whole, whatever becomes of the rest."""
        return self._announced

    def take(self, payloads: list[bytes]) -> str:
        text = ""
        for payload in payloads:
            try:
                chunk = _plain(payload)
            except (ValueError, RecursionError):
                chunk = None
            if chunk is None:  # Not inside the `except`: its error holds the provider's bytes.
                self._spoke = self._spoke or bool(text)
                text += self._take_strange(payload)
                if self.over:
                    break
                continue
            self._choices = True
            if chunk.usage:
                self._usage = chunk.usage
            if piece := chunk.choices[0].delta.content:
                text += self._appended(piece) if self._careful else piece
        if text:
            self._spoke = True
        return text.replace("\0", REPLACEMENT) if "\0" in text else text

    def close(self) -> str:
        """The text that was held back for more of it, when no more comes."""
        high, self._high = self._high, ""
        return REPLACEMENT if high else ""

    def finish(self) -> Finish:
        """How it ended. `UpstreamInvalid` where the provider announced no end; `[DONE]` alone counts as ``stop``."""
        if not (self._announced or (self.over and self._choices)):
            raise UpstreamInvalid("The model's provider ended its answer without saying that it was complete.")
        return Finish(self._reason or "stop", _counted(self._usage))

    def _take_strange(self, payload: bytes) -> str:
        """Anything but a plain chunk."""
        if isinstance(payload, Fault):
            self._fail(_failure_in(payload))
            return ""
        if payload is END:
            self.over = self._messages
            return ""
        text = ""
        for value in values_of(payload):
            if isinstance(value, dict):
                text += self._take_chunk(chunk_of(value))
            elif isinstance(value, Word):
                self._take_word(value)
            if self.over:
                break
            self._spoke = self._spoke or bool(text)
        return text

    def _take_word(self, word: Word) -> None:
        if word is Word.DONE:
            self.over = True
            return
        if word is Word.ERROR:
            self._fail(UpstreamError())
            return
        self.dropped += 1
        if word is Word.BROKEN:
            self._fail(UpstreamInvalid("The model's provider sent a chunk that is not one."))

    def _take_chunk(self, chunk: Chunk) -> str:
        self._choices = self._choices or chunk.has_choice
        self._messages = self._messages or chunk.message is not None
        if chunk.usage:
            self._usage = chunk.usage
        text = chunk.delta or self._news_in(chunk)
        text = self._appended(text) if text else ""
        if chunk.failure is not None:
            self._spoke = self._spoke or bool(text)
            self._fail(chunk.failure)
        elif chunk.reason is not None:
            self._reason = chunk.reason
            self._announced = not (self._doubtful and text)
            self._careful = True
        return text

    def _news_in(self, chunk: Chunk) -> str:
        """What a whole message adds: nothing to deltas, and to earlier messages what they did not say."""
        message, told = chunk.message, self._told or ""
        if not message or (self._spoke and self._told is None):
            return ""
        if told and message.startswith(told) and (len(message) > len(told) or chunk.reason is not None):
            message = message[len(told) :]
        self._told = told
        return message

    def _appended(self, text: str) -> str:
        """With the half of a character that waited for `text`, and without the half that waits for more.

        Takes the announcement of an end back, since text came after it.
        """
        if self._announced:
            self._announced, self._doubtful, self._reason = False, True, None
        if self._told is not None:
            self._told += text
        text = self._high + text
        half = _HIGH.search(text)
        self._high = half.group() if half else ""
        self._careful = bool(half) or self._told is not None
        if not _SURROGATE.search(text):
            return text
        text = text.removesuffix(self._high)
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _fail(self, failure: UpstreamError) -> None:
        """Ends the answer, unless its text is whole already."""
        if not (self._announced and self._spoke):
            self.failure = failure
            self.over = True


def _failure_in(fault: Fault) -> UpstreamError:
    """What an event says that is named `error`, whatever its form."""
    said = next((value for value in values_of(fault) if isinstance(value, dict)), {})
    return report_of(said, alone=True) or failure_in_stream(said)


def _counted(usage: Any) -> Usage | None:
    """None for what is no count: a whole answer must not fail for it."""
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if not all(isinstance(count, int | float) and 0 <= count <= _MAX_TOKENS for count in counts):
        return None
    prompt, completion, total = map(int, counts)
    return Usage(prompt, completion, total or prompt + completion, UsageSource.PROVIDER)
