"""A server that does not start says why, and nothing secret."""

import asyncio
from pathlib import Path

import pytest

from tests.support.canaries import Canaries
from tests.support.ports import free_port
from tests.support.server import Server


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


async def test_a_server_that_cannot_start_says_why_without_its_secrets(canaries: Canaries, tmp_path: Path) -> None:
    server = Server(
        tmp_path,
        DATABASE_URL=f"postgresql://ada:{canaries['database password']}@127.0.0.1:{free_port()}/chat",
        OPENAI_BASE_URL=f"http://ada:{canaries['provider password']}@127.0.0.1:1/v1",
        SECRET_KEY=canaries["signing key"] * 2,
        CHATORCH_LOG_LEVEL="debug",
    )
    ended = await asyncio.to_thread(server.command, "serve", "--port", str(server.port))
    assert ended.returncode != 0
    assert canaries.found_in(ended.stdout + ended.stderr) == []


async def test_wrong_settings_are_named_without_their_values(canaries: Canaries, tmp_path: Path) -> None:
    wrong = {
        "SECRET_KEY": canaries["short"][:20],
        "OPENAI_API_KEY": f"sk {canaries['key']}",
        "DATABASE_URL": f"mysql://ada:{canaries['database password']}@db/chat",
        "REDIS_URL": f"http://:{canaries['redis password']}@redis",
        "OPENAI_BASE_URL": f"ftp://ada:{canaries['provider password']}@host",
        "CHATORCH_METRICS_TOKEN": f"{canaries['metrics token']}\x1b[31m",
        "CHATORCH_DRAIN_LIMIT_S": canaries["seconds"],
        "CHATORCH_LOG_LEVEL": canaries["level"],
        "CHATORCH_CORS_ORIGINS": f"https://ada:{canaries['origin']}@host/path",
        "CHATORCH_PROVIDER_LOCAL_BASE_URL": f"ftp://ada:{canaries['second password']}@host",
        "CHATORCH_PROVIDER_LOCAL_API_KEY": f"sk {canaries['second key']}",
    }
    server = Server(tmp_path, **wrong, CHATORCH_PROVIDERS="main,local")
    ended = await asyncio.to_thread(server.command, "serve")
    told = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert [name for name in wrong if name not in told] == []
    assert canaries.found_in(told) == []
    assert canaries["short"][:20] not in told
