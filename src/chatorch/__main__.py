"""``chatorch``, and ``python -m chatorch``. Obeys signals before it imports what takes time."""

import os

from chatorch.entrypoints.init import be_init
from chatorch.entrypoints.stopping import interrupt_as_usual, stop_at_once


def main() -> None:
    stop_at_once()
    if os.getpid() == 1:
        be_init()
    from chatorch.entrypoints.cli import main as run_command  # noqa: PLC0415  # takes most of a start

    interrupt_as_usual()
    run_command()


if __name__ == "__main__":
    main()
