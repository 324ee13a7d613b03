"""A worker that hangs."""

import signal
import socket
import time

from chatorch.entrypoints.server import server_config
from chatorch.entrypoints.workers import HUNG_S, Worker


class HungWorker(Worker):
    def target(self, sockets: list[socket.socket] | None = None) -> None:
        time.sleep(60)


def test_one_that_answers_nothing_is_killed_when_that_has_lasted_too_long():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = HungWorker(server_config(), listener)
        worker.start()
        worker.look(0.0)
        worker.look(HUNG_S)
        assert worker.alive
        worker.look(HUNG_S + 0.1)
        worker.bury()

    assert worker.exitcode == -signal.SIGKILL
