"""What this machine can see: the store, its lock, Redis, the provider, the clock."""

import asyncio
from contextlib import aclosing
from urllib.parse import urlsplit

from chatorch.domain.model.context import PromptMessage
from chatorch.domain.model.conversation import Role
from chatorch.domain.model.upstream_errors import UpstreamError, UpstreamInvalid
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doctor.finding import WITHIN_S, Amiss, Finding, looked
from chatorch.ports.chat_model import Prompt

CLOCK_S = 5.0
PROVIDER_S = 15.0
"""Longer than a connection that nobody answers takes to be given up, so that this is what is told."""
NO_LIST = frozenset({404, 405, 501})
"""With these a server answers that speaks chat completions only."""


async def look_inside(container: Container) -> list[Finding]:
    """At all at once, since where one has no answer the others may have none either."""
    looks = [
        looked("store", lambda: _store(container)),
        looked("lock", lambda: _lock(container)),
        looked("Redis", lambda: _redis(container)),
    ]
    settings = container.settings()
    if settings.offline:
        looks.append(looked("provider", _offline))
    else:
        patience_s = settings.first_piece_timeout_s + WITHIN_S
        looks.append(looked("provider's models", lambda: _models(container), within_s=PROVIDER_S))
        looks.append(looked("provider's answer", lambda: _token(container), within_s=patience_s))
    return await asyncio.gather(*looks, looked("clock", lambda: _clock(container)))


async def _offline() -> str:
    return "no OPENAI_API_KEY and no OPENAI_BASE_URL: the offline model answers"


async def _store(container: Container) -> str:
    database = container.database()
    await database.look()
    await database.ping()
    if lacking := await container.lacking_rights():
        raise Amiss(f"its user lacks {', '.join(lacking)}; docs/postgresql.md has the rights that are needed")
    return "it answers, has this version's tables, gives the rights that are needed, and takes writes"


async def _lock(container: Container) -> str:
    state: str = await container.lock_state()
    return state


async def _redis(container: Container) -> str:
    backplane = container.backplane()
    if backplane.redis_up is None:
        return "none is set, so one process serves"
    link = backplane.parts[0]
    await link.start()
    try:
        if problem := backplane.redis_problem():
            raise Amiss(problem)
        return "it answers, gives the rights that are needed, and takes writes"
    finally:
        await link.aclose()


async def _models(container: Container) -> str:
    model = container.settings().model
    try:
        names = await container.listed_models()()
    except UpstreamError as error:
        if error.status in NO_LIST:
            return "it lists none, as some servers do"
        raise
    if model not in names:
        return f"it lists {len(names)}; CHATORCH_MODEL is not among them, which some servers do not mind"
    return f"it lists {len(names)}, CHATORCH_MODEL among them"


async def _token(container: Container) -> str:
    settings = container.settings()
    prompt = Prompt(settings.model, (PromptMessage(Role.USER, "Say: ok"),), "doctor")
    try:
        async with aclosing(container.chat_model().stream(prompt)) as pieces:
            async for _ in pieces:
                break
    except UpstreamError as error:
        path = urlsplit(settings.openai_base_url or "/v1").path.rstrip("/")
        if (isinstance(error, UpstreamInvalid) or error.status in NO_LIST) and not path.endswith("/v1"):
            error.cause = "OPENAI_BASE_URL of most servers ends in /v1, and this one does not"
        raise
    return "the model begins to answer"


async def _clock(container: Container) -> str:
    ahead_s = await container.ahead_of_store_s()
    if ahead_s is None:
        return "the store is a file, so there is one clock only"
    if abs(ahead_s) > CLOCK_S:
        raise Amiss(f"this machine is {ahead_s:+.1f} s off the database's; set both by NTP")
    return f"{ahead_s:+.1f} s off the database's"
