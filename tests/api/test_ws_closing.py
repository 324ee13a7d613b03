"""What a connection is closed with: a code for programs, and words for who debugs one."""

import httpx

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.entrypoints.common.websocket.closing import BROKEN, NO_CODE, REASONS
from tests.support.api import Api, Apis
from tests.support.raw_ws import CLOSE, TEXT, RawDevice, frame
from tests.support.ws import Device, Door, served, token_of


async def closed_with(device: Device) -> tuple[int | None, str | None]:
    return await device.close_code(), device.connection.close_reason


async def test_who_is_not_let_in_reads_why(memory_api: Api, store: MemoryStore):
    token = token_of(await memory_api.user("alice"))
    async with served(memory_api) as door:
        assert await closed_with(await door.connect(token="canary-4711")) == (
            4401, "no token, or one that is not good or not any more",
        )  # fmt: skip
        late = await door.connect()
        store.available = False
        await late.send("auth", token=token)
        assert await closed_with(late) == (1013, "unavailable: try again later")


async def test_who_is_sent_away_reads_why(door: Door, phone: Device, alice: httpx.AsyncClient):
    again = await door.connect("phone", token_of(alice))
    code, words = await closed_with(phone)
    assert (code, "do not connect again" in words) == (4409, True)
    await again.connection.send(b"{}")
    assert await closed_with(again) == (1003, "only text frames are taken")
    raw = await RawDevice.connect(door.port, token_of(alice))
    raw.send(frame(TEXT, b"\xff"))
    assert await raw.ended() == 1007
    assert raw.frames[-1] == (CLOSE, b"\x03\xeftext must be UTF-8")


async def test_who_floods_reads_why(apis: Apis):
    api = await apis.start(ws_flood_limit=1)
    async with served(api) as door:
        phone = await door.connect(token=token_of(await api.user("alice")))
        for _ in range(25):
            await phone.send("ping")
        assert await closed_with(phone) == (4429, "too many frames")


def test_every_code_that_is_sent_has_words_that_fit_into_its_frame():
    for code, words in REASONS.items():
        assert 0 < len(words.encode()) <= 123, code
    assert not {NO_CODE, BROKEN} & REASONS.keys()
