"""Whether the files that SQLite has open are still those that their names lead to."""

from pathlib import Path

from chatorch.domain.model.errors import NotWritable

FILE_MOVED = "file_moved"
_ADVICE = (
    "The SQLite file, or its -wal, was moved, removed or replaced while it was in use; put back what was there, "
    "or stop the server first."
)


class Place:
    """Of a database in WAL mode: its file, and the log beside it.

    SQLite goes on writing to a file that was moved, removed or replaced, and says that all is well; with the next start
    it would be lost (https://sqlite.org/howtocorrupt.html, 4.2 and 4.4).
    """

    def __init__(self, database: Path) -> None:
        self._paths = (database, database.with_name(f"{database.name}-wal"))
        self._files: dict[Path, tuple[int, int]] = {}

    def require_unmoved(self) -> None:
        """Within a transaction that writes, when both files are open. Raises `NotWritable`, until they are back."""
        for path in self._paths:
            found = _identity(path)
            if path not in self._files and found is not None:
                self._files[path] = found
            if found != self._files.get(path):
                raise NotWritable(FILE_MOVED, _ADVICE)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
