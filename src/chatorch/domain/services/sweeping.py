"""What is tidied up every now and then, for as long as the process lives."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

from chatorch.domain.model.errors import StoreUnavailable
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry


async def keep_sweeping(
    sweep: Callable[[], Awaitable[None]], *, every_s: float, what: str, clock: Clock, telemetry: RunTelemetry
) -> NoReturn:
    """For ever. Whatever goes wrong is told as `what`, and the next time comes."""
    while True:
        await clock.sleep(every_s)
        try:
            await sweep()
        except StoreUnavailable as error:
            telemetry.store_unavailable(what, error)
        except Exception as error:
            telemetry.failed(what, error)
