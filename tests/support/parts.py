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

ASKED_OUTSIDE = ({"by": "client"}, {"by": "server", "needs_approval": True}, {"by": "server"})

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


def any_turn(chance: random.Random) -> Content:
    """A turn of steps, as the loop tells it: cut off anywhere, or to its end, which may wait for somebody."""
    parts = [Part(PartKind.TEXT, {}, chance.choice(["", "Well, "]))]
    calls = 0
    for step in range(chance.randint(1, 3)):
        if step or chance.random() < 0.3:
            parts += [THOUGHT] * chance.randint(0, 1)
            parts.append(Part(PartKind.TEXT, {}, chance.choice(["", f"step {step}"]), closed=True))
        waits = chance.random() < 0.4
        ids = [f"call_{calls + number}" for number in range(chance.randint(1, 3))]
        calls += len(ids)
        whose = {each: chance.choice(ASKED_OUTSIDE if waits else ({"by": "server"},)) for each in ids}
        parts += [
            Part(PartKind.TOOL_CALL, {"id": each, "name": "find", **whose[each]}, '{"a": [1]}', {}, closed=True)
            for each in ids
        ]
        ours = [each for each in ids if whose[each] == {"by": "server"}]
        chance.shuffle(ours)
        for each in ours:
            for n in range(chance.choice([0, 0, 2])):
                parts.append(Part(PartKind.DATA, {"name": "find", "call_id": each}, f'"at {n}"', {}, closed=True))
            status = chance.choice(["completed", "failed", "not_executed", "unknown"])
            said = chance.choice(["", "sunny", "long " * 100])
            parts.append(Part(PartKind.TOOL_RESULT, {"call_id": each, "status": status}, said, {}, closed=True))
        if waits and len(ours) < len(ids):
            return Content(tuple(parts))
    parts.append(Part(PartKind.TEXT, {}, "So it is.", closed=True))
    whole = Content(tuple(parts))
    return whole.upto(chance.randint(START, whole.tip)) if chance.random() < 0.5 else whole


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
