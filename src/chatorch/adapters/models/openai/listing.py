"""Which models a provider offers, for an operator who asks once."""

from openai import AsyncOpenAI

from chatorch.adapters.models.openai.chat_model import NO_KEY, TELLING_STATUSES
from chatorch.adapters.models.openai.defaults import FAILURES, OPENAI_BASE_URL, OPENAI_SETTINGS
from chatorch.adapters.models.upstream.client import http_client_for, plain_address
from chatorch.adapters.models.upstream.errors import failure_of
from chatorch.domain.model.upstream_errors import SettingNames, UpstreamInvalid


async def list_models(
    api_key: str | None, base_url: str | None, settings: SettingNames = OPENAI_SETTINGS
) -> tuple[str, ...]:
    """The names on the first page. Raises `UpstreamError`."""
    url = base_url or OPENAI_BASE_URL
    client = AsyncOpenAI(
        api_key=api_key or NO_KEY,
        base_url=plain_address(url),
        max_retries=0,
        http_client=http_client_for(url, error_bodies=TELLING_STATUSES),
    )
    try:
        page = await client.models.list()
        return tuple(str(model.id) for model in page.data)
    except FAILURES as error:
        failure = failure_of(error)
    except (AttributeError, TypeError, ValueError):  # the SDK makes its models of whatever comes
        failure = UpstreamInvalid()
    finally:
        await client.close()
    raise failure.named(settings)
