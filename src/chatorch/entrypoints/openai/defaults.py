"""Parameters that can do nothing here: what means the same as leaving them out is taken, all else refused by name."""

from collections.abc import Callable

import msgspec
from pydantic import AfterValidator


def only(*values: object) -> AfterValidator:
    """Of a parameter that may be null, or one of these, which is what it is by default: ``Annotated[Any, only(1)]``."""
    return AfterValidator(_one_of(values))


def _one_of(values: tuple[object, ...]) -> Callable[[object], object]:
    told = " or ".join(msgspec.json.encode(value).decode() for value in values)
    problem = f"can only be {told} here" if values else "is not supported here"

    def check(value: object) -> object:
        if value is None or any(_same(value, other) for other in values):
            return None
        raise ValueError(problem)

    return check


def _same(value: object, other: object) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)
