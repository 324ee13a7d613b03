"""What every response has, whoever made it."""

from collections.abc import Iterable

NOSNIFF = (b"x-content-type-options", b"nosniff")
NOT_STORED = (b"cache-control", b"no-store")
"""Nearly everything is somebody's own, and a problem is of the moment (RFC 9111, 5.2.2.5; for tokens RFC 6749, 5.1)."""
LATER = (b"retry-after", b"1")
ASKS_TO_WAIT = frozenset({429, 503})

Header = tuple[bytes, bytes]


def sealed(status: int, headers: Iterable[Header]) -> list[Header]:
    """The headers, and what is missing: ``nosniff``; ``no-store`` where nothing is said of caches; ``Retry-After``
    where the status asks to come again (RFC 9110, 15.6.4; RFC 6585, 4)."""
    complete = list(headers)
    names = {name.lower() for name, _ in complete}
    if NOSNIFF[0] not in names:
        complete.append(NOSNIFF)
    if NOT_STORED[0] not in names:
        complete.append(NOT_STORED)
    if status in ASKS_TO_WAIT and LATER[0] not in names:
        complete.append(LATER)
    return complete
