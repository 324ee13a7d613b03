"""A package with a tool, installed where a server of a test finds it."""

from pathlib import Path

from tests.support.server import Server


def install_tools(server: Server, folder: Path, name: str, source: str) -> None:
    """`source` is the module that has the function `name`. The server must not have started, and begins from scratch:
    what it finds depends on its own path."""
    info = folder / "shop_tools-0.dist-info"
    info.mkdir(parents=True)
    (folder / "shop_tools.py").write_text(source)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-tools\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[chatorch.tools]\n{name} = shop_tools:{name}\n")
    server.settings["PYTHONPATH"] = str(folder)
    server.from_scratch = True
