"""The files in which the workers of one server count, each in a process of its own as a worker is."""

import importlib
import inspect
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import prometheus_client.metrics
import pytest
from prometheus_client import CollectorRegistry, values
from prometheus_client.parser import text_string_to_metric_families

from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.process.listening import ServeRefused
from chatorch.entrypoints.process.metric_files import SIZES, VARIABLE, MetricFiles, Share
from tests.support.logged import logged

WORKER = """
import os, sys
from prometheus_client import CollectorRegistry
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.process.metric_files import Share

Share(sys.argv[1], int(sys.argv[2])).use()
registry = CollectorRegistry()
telemetry = PrometheusTelemetry(registry)
metrics = Metrics(registry, lambda: redis_up, sys.argv[1])
redis_up = True
metrics.look_up(live_runs=lambda: 2, pool_in_use=lambda: 1, pool_size=lambda: 4)
mcp_up = {"hub": True}
metrics.look_up_mcp(lambda: mcp_up)
metrics.sample()
"""


@pytest.fixture
def files(tmp_path: Path) -> Iterator[MetricFiles]:
    files = MetricFiles(tmp_path, workers=2)
    yield files
    files.close()


def worked(share: Share, *did: str) -> str:
    """What a worker prints that does this, and is then killed."""
    script = "\n".join([WORKER, *map(textwrap.dedent, did), "sys.stdout.flush()", "os.kill(os.getpid(), 9)"])
    command = [sys.executable, "-c", script, share.folder, str(share.number)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == -9, ended.stderr
    return ended.stdout


def shown(share: Share) -> dict[str, float]:
    """By whoever is asked."""
    text = Metrics(CollectorRegistry(), None, share.folder).as_text().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value for sample in samples}


REQUEST = "chatorch_http_requests_total[GET][/x][200]"


def test_workers_answer_with_the_sum_and_what_the_dead_counted_stays_without_their_states(files: MetricFiles):
    with files.share() as one:
        assert one is not None
        with files.share() as two:
            assert two is not None
            did = "for _ in range(3): metrics.request_done('/x', 'GET', 200, 0.02)"
            worked(one, did, "metrics.loop_was_late(0.03)", "telemetry.interrupted(5, 'gone')")
            worked(two, did, "metrics.loop_was_late(0.04)", "redis_up = mcp_up['hub'] = False", "metrics.sample()")
            both = shown(one)
            assert (both[REQUEST], both["chatorch_messages_processed_total"]) == (6, 5)
            assert (both["chatorch_live_runs"], both["chatorch_db_pool_size"]) == (4, 8)
            assert (both["chatorch_loop_lag_seconds"], both["chatorch_redis_up"]) == (0.04, 0)
            assert both["chatorch_mcp_up[hub]"] == 0
            assert {value for name, value in both.items() if name.startswith("chatorch_build_info")} == {1}
            assert both["chatorch_loop_lag_duration_seconds_bucket[+Inf]"] == 2
        alone = shown(one)
        assert alone["chatorch_mcp_up[hub]"] == 1
        assert (alone["chatorch_live_runs"], alone["chatorch_loop_lag_seconds"], alone["chatorch_redis_up"]) == (
            2, 0.03, 1,
        )  # fmt: skip
    nobody = shown(one)
    states = {
        "chatorch_live_runs",
        "chatorch_db_pool_size",
        "chatorch_db_pool_in_use",
        "chatorch_redis_up",
        "chatorch_mcp_up[hub]",
    }
    assert not states & nobody.keys()
    counted = {name for name in both if name.endswith(("_total", "_sum", "_count")) or "_bucket" in name or "]" in name}
    fallen = {name for name in counted if nobody.get(name, 0) < both[name]}
    assert {name.partition("[")[0] for name in fallen} <= {"chatorch_build_info"}


def test_who_comes_after_counts_on_and_nothing_piles_up(files: MetricFiles, tmp_path: Path):
    before: set[Path] = set(tmp_path.glob("*/*"))
    for times in range(1, 4):
        with files.share() as share:
            assert share is not None
            worked(share, "metrics.request_done('/x', 'GET', 200, 0.02)")
            assert shown(share)[REQUEST] == times
            assert shown(share)["chatorch_live_runs"] == 2
    assert set(tmp_path.glob("*/*")) == before, "each worker counts where there is room already"
    assert {path.name.rpartition("_")[0] for path in before} == set(SIZES)


def test_those_that_live_have_numbers_of_their_own_also_while_they_are_renewed(files: MetricFiles):
    with ExitStack() as stack:
        shares = [stack.enter_context(files.share()) for _ in range(4)]
        assert [share and share.number for share in shares] == [0, 1, 2, 3]


def test_a_worker_answers_in_both_forms_for_all(files: MetricFiles):
    with files.share() as one, files.share() as two:
        assert one is not None
        assert two is not None
        worked(one, "telemetry.interrupted(5, 'gone')", "metrics.loop_was_late(0.25)")
        figures = worked(two, "with metrics.connection(): print(metrics.as_dict())")
        assert "'total_messages_processed': 5" in figures
        for each in ("'active_connections': 1", "'live_runs': 4", "'loop_lag_seconds': 0.25", "'redis_up': 1"):
            assert each in figures


def test_all_routes_and_methods_there_could_be_find_room(files: MetricFiles, tmp_path: Path):
    with files.share() as share:
        assert share is not None
        worked(
            share,
            """
            for route in range(43):
                for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"):
                    for status in (200, 401, 404, 405, 422):
                        metrics.request_done(f"/api/threads/{{thread_id}}/items/{route}", method, status, 0.02)
            """,
        )
        sizes = {path.name.rpartition("_")[0]: path.stat().st_size for path in tmp_path.glob("*/*_0.db")}
        assert sizes == SIZES, "what grows has no room that is sure"


def test_nobody_else_may_look_and_nothing_is_left(files: MetricFiles, tmp_path: Path):
    [folder] = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert path.stat().st_blocks * 512 >= path.stat().st_size, "a file with holes kills who writes to a full disk"
    files.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_server_left_is_removed_by_the_next_and_nobody_elses(files: MetricFiles, tmp_path: Path):
    code = "import sys, os, pathlib; from chatorch.entrypoints.process.metric_files import MetricFiles; "
    code += "files = MetricFiles(pathlib.Path(sys.argv[1]), 1); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=30)
    (tmp_path / "chatorch-metrics-link").symlink_to(tmp_path)
    [*before] = tmp_path.iterdir()
    assert len(before) == 3
    with MetricFiles(tmp_path, workers=1).share(), files.share() as share:
        assert share is not None
        assert Path(share.folder).is_dir()
        assert len(list(tmp_path.iterdir())) == 3, "the living one's, the new one's, and what is not ours"


def test_where_there_is_no_place_the_start_is_refused_in_one_line(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ServeRefused, match=r"^--workers: .*file: .+; .*missing: .+TMPDIR"):
        MetricFiles.somewhere(2, (blocked, tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == [blocked]


def test_the_next_place_is_taken_where_the_first_has_no_room(tmp_path: Path):
    files = MetricFiles.somewhere(2, (tmp_path / "missing", tmp_path))
    with files.share() as share:
        assert share is not None
        assert Path(share.folder).parent == tmp_path
    files.close()


@pytest.mark.parametrize("taken_by_another", [False, True])
def test_where_the_folder_was_removed_who_comes_answers_for_itself(
    files: MetricFiles, tmp_path: Path, taken_by_another: bool
):
    [folder] = tmp_path.iterdir()
    with files.share() as share:
        assert share is not None
        out = worked(share, "import shutil; shutil.rmtree(sys.argv[1]); print(metrics.as_dict()['live_runs'])")
        assert out == "2\n"
    if taken_by_another:
        folder.mkdir()
    with logged() as lines, files.share() as share:
        assert share is None
    assert [line["event"] for line in lines.lines] == ["metrics_apart"]
    assert not folder.exists() or list(folder.iterdir()) == []


def test_nothing_changes_for_who_only_imports_it():
    importlib.import_module("chatorch.entrypoints.process.server")
    assert values.ValueClass is values.MutexValue
    assert VARIABLE not in os.environ


def test_a_folder_of_whoever_starts_the_command_is_none_of_ours():
    begun = (
        "import os, sys; sys.argv[1:] = ['--version']; from chatorch.__main__ import main\n"
        "try: main()\n"
        f"finally: print({VARIABLE!r} in os.environ)"
    )
    command = [sys.executable, "-c", begun]
    environment = os.environ | {VARIABLE: "/missing"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.endswith("False\n")


def test_the_library_still_takes_the_value_class_and_the_folder_from_where_they_are_told():
    """`Share.use` leans on these two; nothing else says what to count with."""
    source = inspect.getsource(prometheus_client.metrics) + inspect.getsource(values)
    assert "values.ValueClass(" in source, "collectors no longer ask for prometheus_client.values.ValueClass"
    assert f"os.environ.get('{VARIABLE}')" in source, "values no longer ask the environment for their folder"
