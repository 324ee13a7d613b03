"""What libraries load only because it happens to be installed, and this service never asks of them.

Together it is 17 MB of each process and a fifth of the time of a start. Only `chatorch serve` and its workers do
without; an application that mounts the service imports as it likes.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

SPARED = {
    "structlog": ("rich",),  # for tracebacks on a console; ours hold no text of theirs (logs.py)
    "uvicorn": ("watchfiles",),  # to start anew when a file changes
    "dependency_injector.containers": ("werkzeug", "yaml"),  # to know Flask's objects, and to read settings from YAML
    "jwt": ("cryptography",),  # for signatures but HS256. Who is to verify others takes this line out
}
"""By who would load it."""


def import_lean() -> None:
    """Imports the libraries, each without what it is spared, which whoever else asks for it gets all the same."""
    for library, others in SPARED.items():
        with _hidden(others):
            import_module(library)


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """None in place of a module makes importing it fail as if it was not installed (`sys.modules`)."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # as the documentation has it
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
