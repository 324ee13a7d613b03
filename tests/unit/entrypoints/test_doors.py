"""Doors that are switched off, and one that is taken out of the house."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import chatorch

PACKAGE = Path(chatorch.__file__).parent
APP = """
import asyncio, sys, httpx
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings

off = {"chatkit_server": False, "chatkit_hosted": False}
settings = Settings(secret_key="s" * 32, anonymous_chat=True, database_url=f"sqlite:///{sys.argv[1]}", **off)
app = create_app(Container(settings=settings))
print(sorted(name for name in sys.modules if "chatkit" in name))
print([route.path for route in app.routes if "chatkit" in route.path])
"""
CHAT = """
async def main():
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await client.post("/api/chat", json={"messages": [{"role": "user", "content": "Hi"}]})
        print(answer.status_code, bool(answer.json()["response"]))

asyncio.run(main())
"""


def said_by(script: str, *arguments: str, path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(path)!r})\n{script}", *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if not re.match(r"\d{4}-\d\d-\d\d|\{", line)]


def test_doors_that_are_switched_off_are_no_addresses_and_not_imported(tmp_path: Path):
    assert said_by(APP, str(tmp_path / "chat.db"), path=PACKAGE.parent) == ["[]", "[]"]


@pytest.mark.long
def test_hosted_chatkit_can_be_deleted_with_one_line_elsewhere(tmp_path: Path):
    copy = tmp_path / "chatorch"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("chatkit_hosted*"))
    doors = copy / "entrypoints" / "doors.py"
    lines = doors.read_text(encoding="utf-8").splitlines(keepends=True)
    [line] = [line for line in lines if '"chatkit_hosted"' in line]
    doors.write_text("".join(other for other in lines if other is not line), encoding="utf-8")

    left = {path.relative_to(copy): path.read_text(encoding="utf-8") for path in copy.rglob("*.py")}
    imported = [path for path, text in left.items() if re.search(r"^\s*(from|import) .*chatkit_hosted", text, re.M)]
    assert imported == []
    said = said_by(APP + CHAT, str(tmp_path / "chat.db"), path=tmp_path)
    assert said == ["[]", "[]", "200 True"]
