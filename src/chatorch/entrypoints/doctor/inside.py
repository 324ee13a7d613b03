"""What this machine can see: the store, its lock, Redis, the provider, the clock, tools."""

import asyncio
from functools import partial

from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doctor.finding import WITHIN_S, Amiss, Finding, looked
from chatorch.entrypoints.doctor.provider import models_of, token_of
from chatorch.entrypoints.doctor.tools import look_at_tools

CLOCK_S = 5.0
PROVIDER_S = 15.0
"""Longer than a connection that nobody answers takes to be given up, so that this is what is told."""


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
        for one in settings.chat_providers:
            whose = f"provider {one.name}'s" if one.name else "provider's"
            looks.append(looked(f"{whose} models", partial(models_of, container, one), within_s=PROVIDER_S))
            looks.append(looked(f"{whose} answer", partial(token_of, container, one), within_s=patience_s))
    looks.append(looked("clock", lambda: _clock(container)))
    found, tools = await asyncio.gather(asyncio.gather(*looks), look_at_tools(container))
    return found + tools


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
    link = backplane.components[0]
    await link.start()
    try:
        if problem := backplane.redis_problem():
            raise Amiss(problem)
        return "it answers, gives the rights that are needed, and takes writes"
    finally:
        await link.aclose()


async def _clock(container: Container) -> str:
    ahead_s = await container.ahead_of_store_s()
    if ahead_s is None:
        return "the store is a file, so there is one clock only"
    if abs(ahead_s) > CLOCK_S:
        raise Amiss(f"this machine is {ahead_s:+.1f} s off the database's; set both by NTP")
    return f"{ahead_s:+.1f} s off the database's"
