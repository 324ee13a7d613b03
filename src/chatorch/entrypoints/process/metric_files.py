"""The files in which the workers of one server count, so that each can answer for all of them: `prometheus_client`'s
multiprocess mode, with numbers in place of process ids.

Named by process id, the files of the dead would pile up, and each scrape read them all. A number is one living worker's
at a time, and its next one counts on where the last one stopped.

They lie in memory where there is a place for that: the kernel may make who writes to a file wait for a disk. They get
their full size before anybody serves: a page for which there is no room at its first write kills who writes (SIGBUS).
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

import structlog
from prometheus_client import values

from chatorch.entrypoints.process.listening import ServeRefused

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
IN_MEMORY = Path("/dev/shm")  # noqa: S108  # the folder in it is ours alone
NAME = "chatorch-metrics-"
SIZES = {
    "counter": 1 << 20,
    "histogram": 2 << 20,
    **dict.fromkeys(("gauge_livesum", "gauge_livemax", "gauge_livemin"), 1 << 14),
}
"""Some 300 bytes a sample: enough for 350 pairs of a route and a method. What needs more grows, as the library does."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Share:
    """Which files are whose, told to the worker."""

    folder: str
    number: int

    def use(self) -> None:
        """In the worker, before it has metrics: from now on all that `prometheus_client` counts is counted there."""
        os.environ[VARIABLE] = self.folder  # the library asks for it with each new label
        values.ValueClass = values.MultiProcessValue(lambda: self.number)  # type: ignore[no-untyped-call]


class MetricFiles:
    """The parent's: a folder of its own, which nobody else can read, and which goes with it."""

    def __init__(self, parent: Path, workers: int) -> None:
        """Raises `OSError`. While workers are renewed there is one more of them."""
        _remove_abandoned(parent)
        self._taken: set[int] = set()
        self._lock = -1
        self._folder = Path(tempfile.mkdtemp(prefix=".chatorch-", dir=parent))
        try:
            self._lock = _locked(self._folder)
            self._folder = self._folder.rename(parent / f"{NAME}{self._folder.name.removeprefix('.chatorch-')}")
            for number in range(workers + 1):
                self._make(number)
        except OSError:
            self.close()
            raise

    @classmethod
    def somewhere(cls, workers: int, parents: Iterable[Path] | None = None) -> Self:
        """In memory, else where temporary files are (`TMPDIR`). Raises `ServeRefused`."""
        why = []
        for parent in parents or _parents():
            try:
                return cls(parent, workers)
            except OSError as error:
                why.append(f"{parent}: {error.strerror}")
        raise ServeRefused(
            f"--workers: no place for the files in which they count ({'; '.join(why)}); TMPDIR names another"
        )

    @contextmanager
    def share(self) -> Iterator[Share | None]:
        """For one worker, from before it starts until it is gone. Then what it was doing is shown no more, at once.

        None where somebody has removed the folder: it answers for itself.
        """
        number = next(number for number in count() if number not in self._taken)
        self._taken.add(number)
        try:
            yield self._shared(number)
        finally:
            self._taken.discard(number)
            self._forget_states(number)

    def _shared(self, number: int) -> Share | None:
        try:
            if not os.path.samestat(os.fstat(self._lock), self._folder.stat()):
                raise FileNotFoundError(errno.ENOENT, "it is another's")
            self._make(number)
        except OSError as error:
            log.warning("metrics_apart", folder=str(self._folder), problem=error.strerror)
            return None
        return Share(str(self._folder), number)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)

    def _make(self, number: int) -> None:
        for kind, size in SIZES.items():
            path = self._folder / f"{kind}_{number}.db"
            if not path.exists():
                path.write_bytes(bytes(size))

    def _forget_states(self, number: int) -> None:
        """As `mark_process_dead` does, but the files keep their room: the next worker may find a full disk."""
        for path in self._folder.glob(f"gauge_live*_{number}.db"):
            with suppress(OSError), path.open("r+b") as file:
                file.write(bytes(8))  # how much of it is used


def _parents() -> Iterator[Path]:
    yield IN_MEMORY
    with suppress(OSError):  # there is none that can be written
        yield Path(tempfile.gettempdir())


def _locked(folder: Path) -> int:
    """Held for as long as this process lives. Raises `OSError`: it is another's."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


def _remove_abandoned(parent: Path) -> None:
    """What servers left behind that were killed."""
    for folder in parent.glob(f"{NAME}*"):
        with suppress(OSError):
            held = _locked(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)
