"""``chatorch``, and ``python -m chatorch``. Obeys signals before it imports what takes time."""

import os
import signal
import sys

REFUSED = 2
lacking: str | None = None
try:
    from chatorch.entrypoints.process.process_one import be_init
    from chatorch.entrypoints.process.stopping import interrupt_as_usual, stop_at_once
except ImportError as error:  # the command is there without what it is for, which is an extra
    if not type(error).__module__.startswith("chatorch."):
        raise
    lacking = str(error)


def main() -> None:
    if lacking is not None:
        sys.stderr.write(f"chatorch: {lacking}\n")
        sys.exit(REFUSED)
    stop_at_once()
    if os.getpid() == 1:
        be_init()
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # of whoever starts this: our workers have a folder of their own
    from chatorch.entrypoints.cli import main as run_command  # noqa: PLC0415  # takes most of a start

    try:
        interrupt_as_usual()
        run_command()
    except KeyboardInterrupt:  # before there was a command that takes it
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
elif "--multiprocessing-fork" in sys.orig_argv:  # a worker, which `multiprocessing` lets import this file first
    from chatorch.entrypoints.process.lean_imports import import_lean

    import_lean()
