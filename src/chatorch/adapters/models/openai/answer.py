"""What the payloads of one answer add up to."""

from dataclasses import replace
from typing import Any

from chatorch.adapters.models.openai.chunks import Chunk, chunk_of
from chatorch.adapters.models.openai.counts import counted
from chatorch.adapters.models.openai.parts import Parts, Piece
from chatorch.adapters.models.openai.plain import (
    Counting,
    Delta,
    Finishing,
    Plain,
    Repeats,
    closing,
    plain,
    thought_alone,
)
from chatorch.adapters.models.openai.reports import report_of
from chatorch.adapters.models.openai.said import Spoken, said_in, text_of, thought_of
from chatorch.adapters.models.upstream.errors import failure_in_stream
from chatorch.adapters.models.upstream.payloads import Word, values_of
from chatorch.adapters.models.upstream.sse import END, Fault
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.text import REPLACEMENT
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamInvalid
from chatorch.ports.chat_model import Finish

_TEXT, _REASONING = PartKind.TEXT, PartKind.REASONING
_SPOKEN = ("content", "reasoning_content", "reasoning")


class Answer:
    """Takes payloads, gives the parts that they are, and remembers how it ended.

    `over`: `[DONE]` came, or a `failure`: a payload was broken, or said that the provider failed; what came before it
    counts. `dropped` counts the payloads, and parts of one, that meant nothing.
    """

    __slots__ = (
        "_announced", "_choices", "_detailed", "_doubtful", "_dropped", "_flowing", "_messages", "_parts", "_reason",
        "_repeats", "_spoke_text", "_spoke_thought", "_told", "_usage", "failure", "over",
    )  # fmt: skip

    def __init__(self) -> None:
        self.over = False
        self.failure: UpstreamError | None = None
        self._dropped = 0
        self._reason: str | None = None
        self._announced = False
        self._doubtful = False  # something came after a finish reason: another beside it means nothing
        self._parts = Parts()
        self._flowing: PartKind | None = PartKind.TEXT  # of which the next piece is merely to append
        self._choices = False
        self._spoke_text = self._spoke_thought = False
        self._repeats = Repeats()
        self._detailed = False
        self._messages = False
        self._told: dict[PartKind, str] = {}  # all that was said, where a whole message began it
        self._usage: Any = None

    @property
    def announced(self) -> bool:
        """A finish reason came, and nothing after it: the answer is whole, whatever becomes of the rest."""
        return self._announced

    @property
    def dropped(self) -> int:
        return self._dropped + self._parts.dropped

    def take(self, payloads: list[bytes]) -> list[Piece]:
        chunk: Plain | None
        text, flowing, merely = "", self._flowing, True
        for payload in payloads:
            try:
                chunk = plain(payload)
            except (ValueError, RecursionError):
                chunk = self._repeats.read(payload)
            if chunk is not None:
                self._choices = True
                if chunk.usage:
                    self._usage = chunk.usage
                delta = chunk.choices[0].delta
                if flowing is _TEXT and not (delta.reasoning_content or delta.reasoning):
                    text += delta.content or ""
                    continue
                if flowing is _REASONING and (thought := thought_alone(delta)):
                    text += thought
                    continue
            self._append(text)
            self._take_other(payload, chunk)
            text, flowing, merely = "", self._flowing, False
            if self.over:
                break
        if merely and flowing is _TEXT and text and "\0" not in text:  # as nearly always
            self._spoke_text = True
            return [text]
        self._append(text)
        return self._parts.taken()

    def release(self) -> list[Piece]:
        """What was held back for more of it, when no more comes."""
        self._parts.release()
        return self._parts.taken()

    def settle(self, *, whole: bool) -> list[Piece]:
        """What comes last. `whole`: nothing stays open."""
        self._parts.settle(whole=whole)
        return self._parts.taken()

    def _append(self, text: str) -> None:
        """To the part that is open."""
        if text:
            if self._flowing is _TEXT:
                self._spoke_text = True
            else:
                self._spoke_thought = True
            self._parts.append(text.replace("\0", REPLACEMENT) if "\0" in text else text)

    def finish(self) -> Finish:
        """How it ended. `UpstreamInvalid` where the provider announced no end; `[DONE]` alone counts as ``stop``."""
        if not (self._announced or (self.over and self._choices)):
            raise UpstreamInvalid("The model's provider ended its answer without saying that it was complete.")
        return Finish(self._reason or "stop", counted(self._usage))

    def _take_other(self, payload: bytes, chunk: Plain | None) -> None:
        """What is not merely more of the part that is open."""
        if chunk is None:
            self._take_strange(payload)
        else:
            self._say(_said(chunk.choices[0].delta))

    def _take_strange(self, payload: bytes) -> None:
        """Anything but a plain chunk."""
        if isinstance(payload, Fault):
            self._fail(_failure_in(payload))
            return
        if payload is END:
            self.over = self._messages
            return
        if payload == b"[DONE]":  # as nearly always
            self.over = True
            return
        if (last := closing(payload)) is not None:
            self._take_closing(last)
            return
        for value in values_of(payload):
            if isinstance(value, dict):
                self._take_chunk(chunk_of(value))
            elif isinstance(value, Word):
                self._take_word(value)
            if self.over:
                break

    def _take_closing(self, last: Finishing | Counting) -> None:
        if isinstance(last, Counting):
            self._take_chunk(Chunk(usage=last.usage))
            return
        [choice] = last.choices
        self._take_chunk(Chunk(_said(choice.delta), reason=choice.finish_reason, usage=last.usage, has_choice=True))

    def _take_word(self, word: Word) -> None:
        if word is Word.DONE:
            self.over = True
            return
        if word is Word.ERROR:
            self._fail(UpstreamError())
            return
        self._dropped += 1
        if word is Word.BROKEN:
            self._fail(UpstreamInvalid("The model's provider sent a chunk that is not one."))

    def _take_chunk(self, chunk: Chunk) -> None:
        self._choices = self._choices or chunk.has_choice
        self._messages = self._messages or chunk.message is not None
        if chunk.usage:
            self._usage = chunk.usage
        spoken = [*chunk.delta, *self._news_in(chunk)]
        news = self._say(spoken) or bool(chunk.calls)
        self._take_calls(chunk)
        for source in chunk.sources:
            self._parts.cite(source)
        if chunk.failure is not None:
            self._fail(chunk.failure)
        elif chunk.reason is not None:
            self._reason = chunk.reason
            self._announced = not (self._doubtful and news)
        self._flow()

    def _take_calls(self, chunk: Chunk) -> None:
        if chunk.calls:
            self._go_on()
        for piece in chunk.calls:
            self._parts.call(piece)
        for position, piece in enumerate(chunk.whole_calls):
            self._parts.call_again(position, piece)

    def _news_in(self, chunk: Chunk) -> list[Spoken]:
        """What a whole message adds: nothing to deltas, and to earlier messages what they did not say."""
        message = chunk.message
        if not message:
            return []
        text, thought = text_of(message), thought_of(message)
        new_text = "" if text_of(chunk.delta) else self._news(_TEXT, text, last=chunk.reason is not None)
        new_thought = "" if thought_of(chunk.delta) else self._news(_REASONING, thought, last=chunk.reason is not None)
        message = [replace(spoken, repeats=False) for spoken in message]
        if self._detailed:
            message = [replace(spoken, detail=None) for spoken in message]
        if (new_text, new_thought) == (text, thought):
            return message
        details = [replace(spoken, text="") for spoken in message if spoken.detail is not None]
        return [*details, *([Spoken(new_thought, thought=True)] if new_thought else []), *_text(new_text)]

    def _news(self, kind: PartKind, message: str, *, last: bool) -> str:
        told = self._told.get(kind)
        spoke = self._spoke_text if kind is _TEXT else self._spoke_thought
        if not message or (spoke and told is None):
            return ""
        told = told or ""
        if told and message.startswith(told) and (len(message) > len(told) or last):
            message = message[len(told) :]
        self._told[kind] = told
        return message

    def _say(self, spoken: list[Spoken]) -> bool:
        """Whether there was a word in it. That takes the announcement of an end back."""
        news = any(one.text for one in spoken)
        if news:
            self._go_on()
        for one in spoken:
            kind = _REASONING if one.thought else _TEXT
            self._detailed = self._detailed or one.detail is not None
            if one.text:
                self._spoke_thought = self._spoke_thought or one.thought
                self._spoke_text = self._spoke_text or not one.thought
                if kind in self._told:
                    self._told[kind] += one.text
            self._parts.say(one)
        self._flow()
        return news

    def _go_on(self) -> None:
        if self._announced:
            self._announced, self._doubtful, self._reason = False, True, None

    def _flow(self) -> None:
        """Finds out how the next piece is to be taken, if any."""
        if self._parts.overflow:
            self.failure = UpstreamInvalid("The model's provider sent more that had to be held back than it may.")
            self.over = True
        kind = self._parts.flowing
        self._flowing = None if self._announced or kind in self._told else kind

    def _fail(self, failure: UpstreamError) -> None:
        """Ends the answer, unless it is whole already: reasoning alone is no answer."""
        if not (self._announced and (self._spoke_text or self._parts.calls)):
            self.failure = failure
            self.over = True


def _said(delta: Delta) -> list[Spoken]:
    named = {name: said for name in _SPOKEN if (said := getattr(delta, name))}
    return said_in(named) if named else []


def _text(text: str) -> list[Spoken]:
    return [Spoken(text)] if text else []


def _failure_in(fault: Fault) -> UpstreamError:
    """What an event says that is named `error`, whatever its form."""
    said = next((value for value in values_of(fault) if isinstance(value, dict)), {})
    return report_of(said, alone=True) or failure_in_stream(said)
