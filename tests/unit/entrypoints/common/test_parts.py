"""Parts as JSON: what clients are told of each kind, and what they are not."""

import json

import pytest

from chatorch.domain.model.calls import ENDED_WELL, LIVE
from chatorch.domain.model.content import Content, PartEnded, Snapshot
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import Part, PartKind
from chatorch.entrypoints.common.envelope import envelope
from chatorch.entrypoints.common.fields import PartOut
from chatorch.entrypoints.common.parts import parts_view
from tests.support.parts import ANSWER, CALL, THOUGHT

SEALED = {"details": [{"type": "reasoning.encrypted", "data": "a provider's own"}]}
CALLED = Part(PartKind.TOOL_CALL, CALL.head, CALL.body, SEALED, closed=True)
OPEN = Part(PartKind.TOOL_CALL, {"id": "call_2", "name": "find"}, '{"a": ')


def test_what_is_a_providers_own_is_told_to_nobody():
    parts = [Part(kind, {"name": "n", **SEALED}, "{}", SEALED, closed=True) for kind in PartKind]
    content = Content((Part(PartKind.TEXT), CALLED, THOUGHT, *parts))
    told = [json.dumps(parts_view(content, ENDED_WELL))]
    told += [envelope(RunId("run_1"), event).decode() for event in (*content.since(1), Snapshot(99, content))]
    assert all("own" not in each and "details" not in each for each in told)


def test_every_member_of_a_part_is_documented():
    for content in (ANSWER, Content((Part(PartKind.TEXT), CALLED, OPEN))):
        for part in parts_view(content, ENDED_WELL):
            assert PartOut.model_validate(part).model_dump(mode="json") == part


def test_a_call_that_is_not_whole_is_pending_until_its_run_has_ended():
    content = Content((Part(PartKind.TEXT), CALLED, OPEN))
    for standing, status in ((LIVE, "pending"), (ENDED_WELL, "not_executed")):
        assert [part["status"] for part in parts_view(content, standing)] == ["not_executed", status]
    ended = json.loads(envelope(RunId("run_1"), PartEnded(9, 1, CALLED)))
    assert ended["part"] == {
        "type": "tool_call", "id": "call_1", "name": "find", "status": "not_executed", "needs_approval": False,
    }  # fmt: skip


@pytest.mark.parametrize("body", ["", '{"a', "NaN", "1e999", '"\\ud800"', "[" * 100_000])
def test_data_that_cannot_be_told_is_null(body: str):
    [part] = parts_view(Content((Part(PartKind.TEXT), Part(PartKind.DATA, {"name": "n"}, body))), LIVE)
    assert part == {"index": 1, "type": "data", "name": "n", "data": None}
