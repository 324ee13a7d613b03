"""Messages of parts for tests, and who saves them as they grow."""

import random
from dataclasses import dataclass

from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.part_pieces import pieces
from chatorch.domain.model.parts import Part, PartKind
from chatorch.ports.execution_store import Checkpoint, Ownership
from tests.support.stores import Stores, new_run, turn

LETTERS = "aé🙂\n\"\\'日\u0301%:{}\x01\x7f\u2028"
FACTS = [{}, {"id": "call_1", "name": "find"}, {"url": "https://x.example/é?a=1", "n": [1, 2.5, None, {"deep": "🙂"}]}]

THOUGHT = Part(PartKind.REASONING, {}, "Let me see… 🙂", {"details": [{"type": "text", "n": 1}]}, closed=True)
CALL = Part(PartKind.TOOL_CALL, {"id": "call_1", "name": "find"}, '{"a": "é"}', {}, closed=True)
SOURCE = Part(PartKind.SOURCE, {"url": "https://x.example", "title": "日本"}, "", {}, closed=True)
ANSWER = Content(
    (
        Part(PartKind.TEXT, {}, "Well, "),
        THOUGHT,
        Part(PartKind.TEXT, {}, "it is 🙂 so", {}, closed=True),
        CALL,
        SOURCE,
        Part(PartKind.TEXT, {}, " and so."),
    )
)


def any_content(chance: random.Random) -> Content:
    """Mostly of parts, of which the last may be open."""

    def said() -> str:
        return "".join(chance.choices(LETTERS, k=chance.choice([0, 1, 3, 12])))

    parts = [Part(PartKind.TEXT, {}, said())]
    count = chance.choice([0, 1, 2, 3, 5])
    for number in range(count):
        closed = number < count - 1 or chance.random() < 0.5
        result = chance.choice(FACTS) if closed else {}
        parts.append(Part(chance.choice(list(PartKind)), chance.choice(FACTS), said(), result, closed))
    return Content(tuple(parts))


@dataclass
class Executor:
    """Saves a content as it grows, as who executes a run does: of the text a tail or the whole, of the parts news."""

    name: str = "r"
    tip: int = START
    chars: int = 0

    def checkpoint(self, content: Content, *, whole: bool = False) -> Checkpoint:
        text, start = content.text, 0 if whole else self.chars
        told = None if len(text) == self.chars and not whole else text[start:]
        start = start if told is not None else 0
        parts, tip = ((), None) if content.text_only else (pieces(content, self.tip), content.tip)
        return Checkpoint(RunId(f"run_{self.name}"), 1, told, start, parts, tip)

    def heard(self, content: Content) -> None:
        self.tip, self.chars = content.tip, len(content.text)

    async def save(self, stores: Stores, content: Content, *cuts: int) -> None:
        for cut in cuts or (content.tip,):
            so_far = content.upto(cut)
            checkpoint = self.checkpoint(so_far)
            assert set((await stores.execution_store.checkpoint([checkpoint])).values()) == {Ownership.MINE}
            self.heard(so_far)


async def begin(stores: Stores, name: str = "r", thread: str = "t") -> Executor:
    """Opens the run ``run_<name>`` in the thread ``thr_<thread>``."""
    await stores.runs.open_run(new_run(name), turn(f"m_{name}", thread, opens=True))
    return Executor(name)
