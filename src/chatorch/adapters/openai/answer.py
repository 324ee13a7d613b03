"""What the chunks of one chat completion add up to."""

import json
import re
from typing import Any

import msgspec

from chatorch.adapters.openai.errors import failure_in_stream
from chatorch.adapters.openai.sse import DONE
from chatorch.domain.model.conversation import Usage, UsageSource
from chatorch.domain.model.errors import UpstreamError, UpstreamInvalid
from chatorch.ports.chat_model import Finish

REPLACEMENT = "\ufffd"
_MAX_TOKENS = 2**31 - 1
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class _Text(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = 0
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    """Of `chat.completion.chunk` and `chat.completion`, what is used. Unknown members cost no object."""

    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class Answer:
    """Takes payloads, gives their text, and remembers how it ended.

    `over`: `[DONE]` came, or a `failure`: a chunk was broken, or said that the provider failed; text before it counts.
    """

    __slots__ = ("_choices", "_reason", "_usage", "failure", "over")

    def __init__(self) -> None:
        self.over = False
        self.failure: UpstreamError | None = None
        self._reason: str | None = None
        self._usage: Any = None
        self._choices = False

    @property
    def announced(self) -> bool:
        """A finish reason came: the text is whole, whatever becomes of the rest."""
        return self._reason is not None

    def take(self, payloads: list[bytes]) -> str:
        text = ""
        for payload in payloads:
            if payload == DONE:
                self.over = True
                break
            try:
                text += self._text_of(payload)
            except UpstreamError as failure:
                self.failure = failure
                self.over = True
                break
        return text

    def finish(self) -> Finish:
        """How it ended. `UpstreamInvalid` where the provider announced no end; `[DONE]` alone counts as ``stop``."""
        if self._reason is None and not (self.over and self._choices):
            raise UpstreamInvalid("The model's provider ended its answer without saying that it was complete.")
        return Finish(self._reason or "stop", _counted(self._usage))

    def _text_of(self, payload: bytes) -> str:
        try:
            chunk = _decode(payload)
        except (ValueError, RecursionError):
            chunk = None
        if chunk is None:  # Not inside the `except`: its error holds the provider's bytes.
            chunk = _decode_leniently(payload)
        if chunk.error:
            raise failure_in_stream(chunk.error)
        if chunk.usage is not None:
            self._usage = chunk.usage
        text = ""
        for choice in chunk.choices or ():
            if choice.index:
                continue
            self._choices = True
            if choice.finish_reason:
                self._reason = _UNSTORABLE.sub(REPLACEMENT, choice.finish_reason)[:64]
            said = choice.delta or choice.message
            if said is not None:
                text += (said.content or "") + (said.refusal or "")
        return text.replace("\0", REPLACEMENT) if "\0" in text else text


def _decode_leniently(payload: bytes) -> _Chunk:
    """For what msgspec refuses and SSE or JSON allow: broken UTF-8, and lone surrogates written as escapes."""
    try:
        chunk = msgspec.convert(json.loads(payload.decode("utf-8", "replace")), _Chunk)
    except (ValueError, RecursionError):
        chunk = None
    if chunk is None:
        raise UpstreamInvalid("The model's provider sent a chunk that is not one.")
    for choice in chunk.choices or ():
        for said in (choice.delta, choice.message):
            if said is not None:
                said.content = _UNSTORABLE.sub(REPLACEMENT, said.content or "")
                said.refusal = _UNSTORABLE.sub(REPLACEMENT, said.refusal or "")
    return chunk


def _counted(usage: Any) -> Usage | None:
    """None for what is no count: a whole answer must not fail for it."""
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if not all(isinstance(count, int | float) and 0 <= count <= _MAX_TOKENS for count in counts):
        return None
    prompt, completion, total = map(int, counts)
    return Usage(prompt, completion, total or prompt + completion, UsageSource.PROVIDER)
