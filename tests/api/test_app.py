"""How the application is put together."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dependency_injector import providers
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import chatorch
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doors import open_doors
from chatorch.entrypoints.settings import Settings
from tests.support.api import Api, Apis

SECRET = "x" * 32


def container(folder: Path, **settings: object) -> Container:
    return Container(settings=Settings(secret_key=SECRET, database_url=f"sqlite:///{folder}/chat.db", **settings))


@pytest.mark.parametrize("settings", [{}, {"openai_api_key": "sk-x"}, {"redis_url": "redis://127.0.0.1:1"}])
async def test_every_provider_of_the_container_resolves(tmp_path: Path, settings: dict[str, object]) -> None:
    built = container(tmp_path, **settings)
    resolved = {}
    for name, provider in built.providers.items():
        made = provider()
        resolved[name] = await made if inspect.isawaitable(made) else made
    assert resolved.keys() >= {
        "settings", "database", "users", "threads", "run_store", "execution_store", "run_log", "chat_model",
        "passwords", "tokens", "executor", "runs", "conversations", "lease_reaper", "identify", "sign_in", "accounts",
        "metrics", "registry", "telemetry", "clock", "ids", "spawner", "lifetime",
    }  # fmt: skip
    assert resolved["store_lock"].shared is ("redis_url" in settings)
    await built.shutdown_resources()


def test_two_containers_share_nothing(tmp_path: Path) -> None:
    one, other = container(tmp_path), container(tmp_path)
    for name in ("run_log", "executor", "runs", "registry", "metrics", "database", "identify", "sign_in"):
        assert one.providers[name]() is not other.providers[name]()
        assert one.providers[name]() is one.providers[name]()


def test_the_lifetime_is_a_leaf(tmp_path: Path) -> None:
    built = container(tmp_path)
    resources = [p for p in built.providers.values() if isinstance(p, providers.Resource)]
    assert len(resources) == 1
    for provider in built.providers.values():
        assert resources[0] not in list(provider.related)


def test_nothing_is_wired_or_injected_by_decorators() -> None:
    for path in Path(chatorch.__file__).parent.rglob("*.py"):
        code = path.read_text()
        assert "dependency_injector.wiring" not in code, path
        assert "@inject" not in code, path
        assert ".wire(" not in code, path


def routes_of(api: Api) -> Iterator[tuple[str, Callable[..., object], Dependant]]:
    for door in open_doors(api.container.settings()):
        for route in door.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                yield route.path.replace(":path}", "}"), route.endpoint, route.dependant


def called_by(dependant: Dependant) -> Iterator[Callable[..., object]]:
    for inner in dependant.dependencies:
        assert inner.call is not None
        yield inner.call
        yield from called_by(inner)


def is_async(call: Callable[..., object]) -> bool:
    if inspect.isclass(call):
        return False
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


async def test_no_route_and_no_dependency_takes_a_hop_through_a_thread(api: Api) -> None:
    calls = [call for _, endpoint, dependant in routes_of(api) for call in (endpoint, *called_by(dependant))]
    assert len(calls) > 40
    assert [call for call in calls if not is_async(call)] == []


async def test_the_walk_over_the_routes_sees_all_that_are_served(api: Api) -> None:
    assert {path for path, _, _ in routes_of(api)} == set(api.app.openapi()["paths"])


def test_making_an_application_starts_nothing(tmp_path: Path) -> None:
    create_app(container(tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_an_application_can_be_started_ended_and_started_again(apis: Apis, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for _ in range(2):
        app = create_app(container(folder))
        async with app.router.lifespan_context(app):
            assert (folder / "chat.db").exists()
