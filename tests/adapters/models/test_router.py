"""Which provider is asked, and by what name of the model."""

import pytest
from prometheus_client import CollectorRegistry

from chatorch.adapters.models.joined_turns import JoinedTurns
from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.adapters.models.router import ModelRouter
from chatorch.adapters.models.upstream.client import HttpClients
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.entrypoints.container.models import choose_models
from chatorch.entrypoints.settings import Settings
from chatorch.ports.chat_model import Prompt
from tests.support.chat import listen, prompt
from tests.support.fakes import FakeClock, ScriptedChatModel
from tests.support.upstream import Upstream


class Failing(ScriptedChatModel):
    async def aclose(self) -> None:
        await super().aclose()
        raise RuntimeError("cannot be closed")


@pytest.mark.parametrize(
    ("name", "provider", "bare"),
    [
        ("a", "main", "a"),
        ("llama3:8b", "main", "llama3:8b"),
        ("local:llama3:8b", "local", "llama3:8b"),
        ("main:local:a", "main", "local:a"),
        ("nobody:a", "main", "nobody:a"),
    ],
)
async def test_the_provider_is_asked_by_the_bare_name(name: str, provider: str, bare: str) -> None:
    models = {"main": ScriptedChatModel("main"), "local": ScriptedChatModel("local")}
    heard = await listen(ModelRouter(models), prompt(name))
    assert heard.text == provider
    assert [call.prompt.model for call in models[provider].calls] == [bare]
    assert models[provider].calls[0].prompt.messages == prompt(name).messages


def settings_of(upstream: Upstream) -> Settings:
    local = {"name": "local", "base_url": upstream.base_url}
    return Settings(secret_key="s" * 32, openai_api_key="sk-x", providers=[{"name": "main"}, local])


async def test_what_openai_takes_apart_is_joined_for_who_may_not_take_it(upstream: Upstream) -> None:
    """With the same prompt: one that was made for a provider that takes neighbours."""
    name = upstream.model()
    models = choose_models(settings_of(upstream), FakeClock(), PrometheusTelemetry(CollectorRegistry()))
    assert not isinstance(models["main"](), JoinedTurns)
    said = [PromptMessage(Role.SYSTEM, "be kind"), *(PromptMessage(Role.USER, text) for text in ("a", "b"))]
    local = models["local"]()
    asked = Prompt(name, (*said, PromptMessage(Role.ASSISTANT, "c"), PromptMessage(Role.USER, "d")), "u")
    assert (await listen(local, asked)).finish
    (seen,) = upstream.seen(name)
    assert [(each["role"], each["content"]) for each in seen.body["messages"]] == [
        ("system", "be kind"),
        ("user", "a\n\nb"),
        ("assistant", "c"),
        ("user", "d"),
    ]
    await local.aclose()


async def test_all_are_closed_whatever_one_of_them_raises() -> None:
    models = {"a": ScriptedChatModel(), "b": Failing(), "c": ScriptedChatModel()}
    with pytest.raises(RuntimeError):
        await ModelRouter(models).aclose()
    assert [model.closed for model in models.values()] == [True, True, True]


async def test_providers_at_one_address_have_their_connections_in_common(upstream: Upstream) -> None:
    clients = HttpClients()
    first, second = (clients.for_url(f"{upstream.base_url}{path}") for path in ("", "/"))
    assert first is second
    assert clients.for_url(f"{upstream.base_url}?key=other") is not first
    host = upstream.base_url.removeprefix("http://")
    assert clients.for_url(f"http://ada:secret@{host}") is not first
    router = ModelRouter(
        {name: OpenAIChatModel(f"sk-{name}", upstream.base_url, http_client=first) for name in ("one", "two")}
    )
    name = upstream.model()
    for provider in ("one", "two"):
        assert (await listen(router, prompt(f"{provider}:{name}"))).finish
    assert [seen.headers["authorization"] for seen in upstream.seen(name)] == ["Bearer sk-one", "Bearer sk-two"]
    assert len({seen.connection for seen in upstream.seen(name)}) == 1
    await router.aclose()
