"""Ids of ours as OpenAI's clients know them, and back."""

import pytest

from chatorch.adapters.system import TimeOrderedIds
from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.parts import PartKind
from chatorch.entrypoints.openai.responses.ids import (
    conversation_id,
    part_item_id,
    part_of,
    response_id,
    run_id_of,
    thread_id_of,
)

IDS = TimeOrderedIds()


def test_each_leads_back_to_its_own():
    run_id, thread_id = RunId(IDS.new("run")), ThreadId(IDS.new("thr"))
    assert run_id_of(response_id(run_id)) == run_id
    assert thread_id_of(conversation_id(thread_id)) == thread_id
    for kind in (PartKind.TEXT, PartKind.REASONING):
        part = part_of(part_item_id(run_id, kind, 12))
        assert part is not None
        assert (part.run_id, part.index) == (run_id, 12)
    assert part_of(IDS.new("msg")) is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        "resp_",
        "resp",
        "run_1",
        "conv_1",
        "resp_1/2",
        "resp_1\n",
        "resp_É",
        "resp_A",
        "resp_" + "1" * 65,
        "resp_1_2",
    ],
)
def test_what_cannot_be_one_is_not_there(given: str):
    with pytest.raises(NotFound):
        run_id_of(given)
