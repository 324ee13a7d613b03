"""The processes that make the turn, and the environments that others' are in.

Each is run as one would serve with it: one process, warnings alone in its log, and nothing told to anybody outside.
"""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.agents.peers import AG_UI, AI_SDK, FLOOR, LANGGRAPH, OURS, Peer
from bench.agents.turn import MODELS, TOOLS
from bench.load import Target
from bench.servers import NotStarted, chatorch, free_port, other, process, upstream
from bench.venvs import LeftOut, own_environment, venv, version
from tests.support.postgres import PostgresServer

PYDANTIC_AI = ("pydantic-ai-slim[ag-ui,openai]==2.66.0", "uvicorn[standard]==0.54.0")
LANGGRAPH_CLI = ("langgraph-cli[inmem]==0.4.40", "langgraph-api==0.16.7", "langchain==1.5.2", "langchain-openai==1.7.4")
AEGRA = ("aegra-api==0.11.0", "uvicorn[standard]==0.54.0", *LANGGRAPH_CLI[2:])
ELSEWHERE = "CHATORCH_BENCH_AGENTS"
"""Names a folder with the environments `pydantic-ai`, `langgraph` and `aegra`, to be used instead."""
QUIET = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGGRAPH_NO_VERSION_CHECK": "true"}
ROOT = Path(__file__).parents[2]
UVICORN = ("--log-level", "warning", "--no-access-log")


@contextlib.contextmanager
def agent_servers() -> Iterator[tuple[Peer, list[Peer], list[Peer]]]:
    """The floor, the servers of others that can be had, and chatorch through several doors."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatorch-bench-"))
        origin = stack.enter_context(upstream(folder, "bench.agents.upstream"))
        floor = Peer(stack.enter_context(other("agents.loop", "", folder, origin)), FLOOR)
        others: list[Peer] = []
        for each in (pydantic_ai, langgraph, aegra):
            try:
                others += stack.enter_context(each(folder, origin))
            except (LeftOut, NotStarted) as why:
                print(f"{each.__name__} is left out: {str(why).splitlines()[-1]}", flush=True)
        tools = {"CHATORCH_TOOLS": "*", "PYTHONPATH": f"{ROOT}{os.pathsep}{_tools_installed(folder)}"}
        ours = stack.enter_context(chatorch(folder, origin, **tools))
        yield floor, others, [Peer(replace(ours, name=name), dialect) for name, dialect in OURS.items()]


@contextlib.contextmanager
def pydantic_ai(folder: str, origin: str) -> Iterator[list[Peer]]:
    """One process that has both of its doors."""
    home, port = _environment("pydantic-ai", PYDANTIC_AI), free_port()
    print(f"pydantic-ai {version(home / 'bin' / 'python', 'pydantic-ai-slim')}", flush=True)
    command = [str(home / "bin" / "uvicorn"), "bench.agents.on_pydantic_ai:app", "--port", str(port), *UVICORN]
    lacks = "no user, nothing stored, a stream is read once"
    with process(command, port, folder, whole_env=_told(origin)) as pid:
        doors = {"pydantic-ai, AG-UI": AG_UI, "pydantic-ai, AI SDK": AI_SDK}
        yield [Peer(Target(name, port, pid, ""), dialect, lacks) for name, dialect in doors.items()]


@contextlib.contextmanager
def langgraph(folder: str, origin: str) -> Iterator[list[Peer]]:
    """LangGraph's own server on its store in memory, which is what there is of it without a licence and containers."""
    home, port = _environment("langgraph", LANGGRAPH_CLI), free_port()
    print(f"langgraph-api {version(home / 'bin' / 'python', 'langgraph-api')}", flush=True)
    config = _graphs(folder, "langgraph.json", dependencies=["."], disable_persistence=True)
    command = [str(home / "bin" / "langgraph"), "dev", "--config", str(config), "--port", str(port), "--no-browser"]
    # All clients at a time, and without what looks for blocking calls while one develops
    command += ["--no-reload", "--allow-blocking", "--n-jobs-per-worker", "40", "--server-log-level", "WARNING"]
    with process(command, port, folder, whole_env={**_told(origin), **QUIET, "LOG_LEVEL": "WARNING"}) as pid:
        yield [Peer(Target("LangGraph", port, pid, ""), LANGGRAPH, "no user, stored in memory only")]


@contextlib.contextmanager
def aegra(folder: str, origin: str) -> Iterator[list[Peer]]:
    """The same graphs and the same protocol on a PostgreSQL of its own, which is not of its process tree."""
    home, port = _environment("aegra", AEGRA, (3, 12)), free_port()
    print(f"aegra-api {version(home / 'bin' / 'python', 'aegra-api')}", flush=True)
    command = [str(home / "bin" / "uvicorn"), "aegra_api.main:app", "--port", str(port), *UVICORN]
    told = {"AEGRA_CONFIG": str(_graphs(folder, "aegra.json")), "ENV_MODE": "PRODUCTION", "LOG_LEVEL": "WARNING"}
    server = PostgresServer()
    try:
        server.create()
        told["DATABASE_URL"] = server.url
        with process(command, port, folder, whole_env={**_told(origin), **QUIET, **told}) as pid:
            yield [Peer(Target("Aegra", port, pid, ""), LANGGRAPH, "no user, a run ends with its process")]
    finally:
        server.destroy()


def _graphs(folder: str, name: str, **more: object) -> Path:
    """A file that tells a server where its graphs are."""
    graphs = {load: f"{ROOT}/bench/agents/on_langgraph.py:{load}" for load in MODELS}
    config = Path(folder, name)
    config.write_text(json.dumps({"graphs": graphs, **more}))
    return config


def _environment(name: str, requirements: tuple[str, ...], least: tuple[int, int] = (3, 11)) -> Path:
    """`least` is the Python that it needs."""
    if not (elsewhere := os.environ.get(ELSEWHERE)):
        if sys.version_info < least:
            raise LeftOut(f"{requirements[0]} needs Python {least[0]}.{least[1]}; {ELSEWHERE} may name one that has it")
        return venv(name, requirements)
    home = Path(elsewhere).absolute() / name
    if not home.is_dir():
        raise LeftOut(f"{ELSEWHERE} has no {name}")
    return home


def _told(origin: str) -> dict[str, str]:
    return {**own_environment(), "PYTHONPATH": str(ROOT), "UPSTREAM": origin}


def _tools_installed(folder: str) -> Path:
    """A folder for `sys.path` where a distribution is that has the tools as its entry points."""
    path = Path(folder, "tools")
    info = path / "bench_tools-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-tools\nVersion: 0\n")
    lines = [f"{tool.__name__} = {tool.__module__}:{tool.__name__}" for tool in TOOLS]
    (info / "entry_points.txt").write_text("\n".join(("[chatorch.tools]", *lines, "")))
    return path
