"""Where the primary is, as Sentinels know it (https://redis.io/docs/latest/develop/reference/sentinel-clients/)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import RedisError

from chatorch.adapters.redis.faults import Cure, Fault, Unusable, fault_of

ANSWER_S = 0.5
PORT = 26379

Address = tuple[str, int]

_NOT_KNOWN = Fault("sentinel_service", "no Sentinel knows the service that REDIS_URL names", Cure.MEND)
_LOGIN = "the Sentinels refuse us; see sentinel_username and sentinel_password in docs/redis.md"
_NO_SENTINEL = "what answers is no Sentinel; REDIS_URL must name their addresses, mostly port 26379"


class Sentinels:
    """Asks one after the other, beginning with the one that answered last. `options` are for connecting to them."""

    def __init__(self, addresses: Sequence[Address], service: str, kind: type[Connection], options: Any) -> None:
        self._addresses = list(addresses)
        self._service = service
        self._kind = kind
        self._options = options

    async def primary(self) -> Address:
        """Raises `Unusable`."""
        known, faults = False, []
        for address in list(self._addresses):
            try:
                found = await self._ask(address)
            except (RedisError, OSError) as error:
                faults.append(fault_of(error))
                continue
            if found is not None:
                self._addresses.remove(address)
                self._addresses.insert(0, address)
                return found
            known = True
        raise Unusable(_NOT_KNOWN if known else _of_sentinels(faults[0]))

    def doubt(self) -> None:
        """Where it led to was of no use: another one is asked first, because this one may be cut off from the rest."""
        self._addresses.append(self._addresses.pop(0))

    async def _ask(self, address: Address) -> Address | None:
        host, port = address
        connection = self._kind(host=host, port=port, **self._options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service, check_health=False)
            answer = await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)
        return (answer[0].decode(), int(answer[1])) if answer else None


class Followed(Connection):
    """To whatever is the primary when it is made."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**options)

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.primary()
        await super()._connect()  # type: ignore[no-untyped-call]


class FollowedOverTls(Followed, SSLConnection):
    pass


def _of_sentinels(fault: Fault) -> Fault:
    advice = {"unknown_command": _NO_SENTINEL, "protocol": _NO_SENTINEL}.get(fault.name)
    if fault.name in {"NOAUTH", "WRONGPASS", "NOPERM"}:
        advice = _LOGIN
    return replace(fault, name=f"sentinel_{fault.name}", advice=advice or f"of the Sentinels, {fault.advice}")
