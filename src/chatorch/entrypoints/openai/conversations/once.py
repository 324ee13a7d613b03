"""Ids of what a request makes: with an idempotency key they are a function of it, so that the same once more makes
nothing more. Of what is there no table need tell by which key it came."""

import hashlib
import json
from base64 import b32encode
from dataclasses import dataclass

from chatorch.domain.model.conversation import MessageId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.ports.system import IdFactory

ID_CHARS = 26


@dataclass(frozen=True, slots=True)
class Once:
    ids: IdFactory
    owner_id: UserId
    key: str | None

    def thread_id(self) -> ThreadId:
        return ThreadId(self._id("thr", ""))

    def message_id(self, thread_id: ThreadId, number: int) -> MessageId:
        return MessageId(self._id("msg", thread_id, number))

    def _id(self, prefix: str, *place: object) -> str:
        if self.key is None:
            return self.ids.new(prefix)
        digest = hashlib.sha256(json.dumps([prefix, self.owner_id, self.key, *place]).encode()).digest()
        return f"{prefix}_{b32encode(digest).decode().lower()[:ID_CHARS]}"
