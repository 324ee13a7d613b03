"""The figures of several processes, added up."""

import asyncio
import multiprocessing
import subprocess
import sys
from collections.abc import Mapping

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from chatorch.adapters.memory.noticeboard import MemoryNoticeboard
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.entrypoints.metrics.fleet import Fleet, server_name
from chatorch.entrypoints.metrics.metrics import MESSAGES_PROCESSED, Metrics
from chatorch.ports.noticeboard import Board, Noticeboard
from tests.support.fakes import FakeClock


class Hall:
    """What hangs on the board, for all processes of a test."""

    def __init__(self) -> None:
        self.shown: dict[HallBoard, bytes] = {}
        self.processed: dict[HallBoard, int] = {}
        self.counted: dict[HallBoard, Mapping[str, float]] = {}
        self.away = False


class HallBoard(Noticeboard):
    def __init__(self, hall: Hall, server: str = "one") -> None:
        self._hall = hall
        self.server = server

    async def post(self, figures: bytes, processed: int, counts: Mapping[str, float]) -> bool:
        if not self._hall.away:
            self._hall.shown[self] = figures
            self._hall.processed[self] = processed
            self._hall.counted[self] = counts
        return not self._hall.away

    async def read(self) -> Board:
        if self._hall.away:
            return Board()
        others = [board for board in self._hall.shown if board is not self]
        return Board(
            [self._hall.shown[board] for board in others if board.server == self.server],
            [self._hall.shown[board] for board in others if board.server != self.server],
            sum(processed for board, processed in self._hall.processed.items() if board is not self),
            self._counted(),
        )

    def _counted(self) -> Mapping[str, float] | None:
        counted = {board: counts for board, counts in self._hall.counted.items() if board.server == self.server}
        if self not in counted or len(counted) == 1:
            return None
        names = {name for counts in counted.values() for name in counts}
        return {name: sum(counts.get(name, 0) for counts in counted.values()) for name in names}

    async def withdraw(self) -> None:
        self._hall.shown.pop(self, None)


class Process:
    def __init__(self, board: Noticeboard, *, redis_up: bool = True) -> None:
        registry = CollectorRegistry()
        PrometheusTelemetry(registry)
        self.metrics = Metrics(registry, lambda: redis_up)
        self.metrics.look_up(live_runs=lambda: 2, pool_in_use=lambda: 0, pool_size=lambda: 4)
        self.processed = registry._names_to_collectors[MESSAGES_PROCESSED]
        self.fleet = Fleet(self.metrics, board, FakeClock())

    async def samples(self) -> dict[str, float]:
        families = text_string_to_metric_families((await self.fleet.as_text()).decode())
        return {s.name + str(sorted(s.labels.items())): s.value for f in families for s in f.samples}


@pytest.fixture
def hall() -> Hall:
    return Hall()


async def test_workers_of_one_server_answer_with_the_sum_of_their_figures(hall: Hall):
    one, two = Process(HallBoard(hall)), Process(HallBoard(hall))
    for process, times in ((one, 3), (two, 4)):
        for _ in range(times):
            process.metrics.request_done("/x", "GET", 200, 0.02)
        process.metrics.loop_was_late(0.01 * times)
        await process.fleet.post()
    first, second = await one.samples(), await two.samples()
    assert first == second
    requests = "chatorch_http_requests_total[('method', 'GET'), ('route', '/x'), ('status', '200')]"
    assert (first[requests], first["chatorch_live_runs[]"]) == (7, 4)
    assert first["chatorch_loop_lag_seconds[]"] == 0.04
    assert {value for name, value in first.items() if name.startswith("chatorch_build_info")} == {1}


async def test_redis_is_up_for_a_server_when_it_is_for_each_of_its_workers(hall: Hall):
    one, two = Process(HallBoard(hall)), Process(HallBoard(hall))
    await two.fleet.post()
    assert (await one.samples())["chatorch_redis_up[]"] == 1
    await Process(HallBoard(hall), redis_up=False).fleet.post()
    assert (await one.samples())["chatorch_redis_up[]"] == 0


async def test_servers_that_run_apart_are_scraped_apart_but_shown_together(hall: Hall):
    one, two = Process(HallBoard(hall)), Process(HallBoard(hall, "two"))
    two.processed.inc(5)
    await two.fleet.post()
    alone = await one.samples()
    assert (alone["chatorch_live_runs[]"], alone["chatorch_messages_processed_total[]"]) == (2, 0)
    figures = await one.fleet.as_dict()
    assert (figures["live_runs"], figures["total_messages_processed"]) == (4, 5)


async def test_what_a_process_counted_goes_on_counting_when_it_is_gone_and_its_state_does_not(hall: Hall):
    one, two = Process(HallBoard(hall)), Process(HallBoard(hall))
    two.processed.inc(5)
    two.metrics.request_done("/x", "GET", 200, 0.02)
    await one.fleet.post()
    await two.fleet.post()
    before = await one.samples()
    two.processed.inc()
    await two.fleet.aclose()
    one.processed.inc(2)
    await one.fleet.post()
    after = await one.samples()
    fallen = {name.partition("[")[0] for name, value in before.items() if after.get(name, 0) < value}
    assert {name for name in fallen if not name.endswith("_created")} == {"chatorch_live_runs", "chatorch_db_pool_size"}
    assert after["chatorch_messages_processed_total[]"] == 8
    figures = await one.fleet.as_dict()
    assert (figures["total_messages_processed"], figures["live_runs"], figures["db_pool_size"]) == (8, 2, 4)


async def test_a_worker_that_has_just_come_shows_what_its_mates_counted(hall: Hall):
    one, two = Process(HallBoard(hall)), Process(HallBoard(hall))
    one.processed.inc(5)
    await one.fleet.post()
    assert (await two.samples())["chatorch_messages_processed_total[]"] == 5


async def test_the_buckets_of_a_histogram_rise(hall: Hall):
    one, two = Process(HallBoard(hall)), Process(HallBoard(hall))
    for process in (two, one):
        process.metrics.loop_was_late(0.3)
        await process.fleet.post()
    name = "chatorch_loop_lag_duration_seconds_bucket"
    lines = [line for line in (await one.fleet.as_text()).decode().splitlines() if line.startswith(name)]
    assert [line.partition("le=")[2].split('"')[1] for line in lines] == [
        line.partition("le=")[2].split('"')[1]
        for line in one.metrics.as_text().decode().splitlines() if line.startswith(name)
    ]  # fmt: skip
    assert lines[-1].endswith(" 2.0")


async def test_counts_are_whole_numbers_also_of_several_processes(hall: Hall):
    one, two = Process(HallBoard(hall)), Process(HallBoard(hall, "two"))
    await two.fleet.post()
    figures = await one.fleet.as_dict()
    assert {name for name, value in figures.items() if not isinstance(value, int)} == {"uptime", "loop_lag_seconds"}


async def test_what_could_not_be_shown_is_counted_later(hall: Hall):
    one = Process(HallBoard(hall))
    one.processed.inc(2)
    hall.away = True
    await one.fleet.post()
    assert (await one.fleet.as_dict())["total_messages_processed"] == 2
    hall.away = False
    await one.fleet.post()
    assert list(hall.processed.values()) == [2]


class Hanging(HallBoard):
    async def post(self, figures: bytes, processed: int, counts: Mapping[str, float]) -> bool:
        return await asyncio.get_running_loop().create_future()


async def test_a_board_that_hangs_does_not_keep_a_process_that_leaves(hall: Hall):
    board = Hanging(hall)
    hall.shown[board] = b""
    async with asyncio.timeout(2):
        await Process(board).fleet.aclose()
    assert hall.shown == {}


async def test_figures_of_another_version_are_left_out(hall: Hall):
    one = Process(HallBoard(hall))
    hall.shown[HallBoard(hall)] = msgspec.msgpack.encode(["from", "the", "future", 1])
    hall.shown[HallBoard(hall)] = b"\xc1"
    assert (await one.fleet.as_dict())["live_runs"] == 2


async def test_a_process_that_is_alone_answers_for_itself():
    one = Process(MemoryNoticeboard())
    one.processed.inc(3)
    await one.fleet.post()
    assert (await one.fleet.as_dict())["total_messages_processed"] == 3
    assert (await one.samples())["chatorch_live_runs[]"] == 2


def test_workers_of_one_server_have_one_name_and_another_server_has_another():
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        names = {workers.apply(server_name) for _ in range(4)}
    assert names == {server_name()}
    asked = "from chatorch.entrypoints.metrics.fleet import server_name; print(server_name())"
    others = [
        subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=30, check=True).stdout
        for _ in range(2)
    ]
    assert len({*names, *others}) == 3
