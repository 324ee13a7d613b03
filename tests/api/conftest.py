"""The application in this process, with Alice signed in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from tests.support.api import Api, Apis, in_memory
from tests.support.ws import Device, Door, served, token_of


@pytest.fixture
async def apis(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Apis]:
    """For tests that need other settings, or more than one application."""
    async with AsyncExitStack() as stack:
        yield Apis(migrated_sqlite, tmp_path, stack)


@pytest.fixture
async def api(apis: Apis) -> Api:
    return await apis.start()


@pytest.fixture
async def alice(api: Api) -> httpx.AsyncClient:
    return await api.user("alice")


@pytest.fixture
async def bob(api: Api) -> httpx.AsyncClient:
    return await api.user("bob")


@pytest.fixture
def store() -> MemoryStore:
    """The store of `memory_api`: switch it off by ``store.available = False``."""
    return MemoryStore()


@pytest.fixture
async def memory_api(apis: Apis, store: MemoryStore) -> Api:
    return await apis.start(database_url="sqlite:///nowhere.db", swapped=in_memory(store))


@pytest.fixture
async def door(api: Api) -> AsyncIterator[Door]:
    """Where WebSockets connect to `api`."""
    async with served(api) as door:
        yield door


@pytest.fixture
async def phone(door: Door, alice: httpx.AsyncClient) -> Device:
    """A device of Alice's, which others can see by now."""
    phone = await door.connect("phone", token_of(alice))
    await phone.ask("ping")
    return phone
