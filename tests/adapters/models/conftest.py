"""The real adapter over a provider on loopback."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chatorch.adapters.models.openai.chat_model import OpenAIChatModel
from chatorch.adapters.models.upstream.deadlines import Deadlines
from tests.support.sizes import size
from tests.support.upstream import Upstream

KEY = "sk-canary-0123456789"
LATE_S = size(100, 25) / 100
"""How much later than it should something may come, where others use the processors as well."""

NewModel = Callable[..., OpenAIChatModel]


@pytest.fixture
async def new_model(upstream: Upstream) -> AsyncIterator[NewModel]:
    """Makes models over the loopback provider, without retries unless asked for, and closes them."""
    models: list[OpenAIChatModel] = []

    def new(**arguments: Any) -> OpenAIChatModel:
        arguments = {"api_key": KEY, "base_url": upstream.base_url, "max_retries": 0, **arguments}
        models.append(OpenAIChatModel(**arguments))
        return models[-1]

    yield new
    for model in models:
        await model.aclose()


@pytest.fixture
def model(new_model: NewModel) -> OpenAIChatModel:
    return new_model()


@pytest.fixture
def hasty(new_model: NewModel) -> OpenAIChatModel:
    """Gives up after 0.4 s without a first piece or between two, and after 2 s altogether."""
    return new_model(deadlines=Deadlines(first_piece=0.4, idle=0.4, total=2))
