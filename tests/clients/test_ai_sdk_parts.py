"""What the parser and the fold of `ai` 7 and 6 make of our streams is what is stored, whatever an answer holds."""

import json
import random
from datetime import UTC, datetime

import pytest

from chatorch.domain.model.content import START, Snapshot
from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    Role,
    RunId,
    ThreadId,
    Usage,
    UsageSource,
)
from chatorch.domain.model.run import RunCompleted, RunStarted
from chatorch.entrypoints.ai_sdk.encoder import UiStreamEncoder
from chatorch.entrypoints.ai_sdk.messages import ui_message
from tests.clients.conftest import NewClient
from tests.support.parts import ANSWER, any_content
from tests.support.sizes import size


@pytest.mark.parametrize("version", [7, 6])
async def test_what_its_parser_makes_of_any_answer_is_what_is_stored(new_client: NewClient, version: int):
    chance = random.Random(version)
    contents = [ANSWER, *(any_content(chance) for _ in range(size(150, 3000)))]
    streams = []
    for content in contents:
        encoder, cut = UiStreamEncoder(RunId("run_1"), version), chance.randint(START, content.tip)
        anew = version == 7 and chance.random() < 0.5
        events = [
            RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model"),
            *(any_content(chance).since(START) if anew else ()),
            *((Snapshot(1, content.upto(cut)),) if anew else ()),
            *content.since(cut if anew else START),
            RunCompleted(9, MessageId("msg_1"), "stop", Usage(1, 1, 2, UsageSource.PROVIDER)),
        ]
        streams.append((b"".join(map(encoder.encode, events)) + encoder.end()).decode())
    messages = await new_client("ai_sdk.mjs").value("fold", version=version, streams=streams)
    now = datetime.now(UTC)
    for content, message in zip(contents, messages, strict=True):
        stored = Message(MessageId("msg_1"), ThreadId("thr_1"), 2, Role.ASSISTANT, "", MessageStatus.COMPLETE, now)
        assert message["parts"] == json.loads(json.dumps(ui_message(stored.holding(content))["parts"])), content
