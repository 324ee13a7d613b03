"""nginx, haproxy and caddy, each with what docs/proxies.md says, on loopback and without TLS."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "proxies.md").read_text(encoding="utf-8")
UPSTREAM = "127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def changed(text: str, *changes: tuple[str, str]) -> str:
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count, pattern
    return text


def nginx(port: int, below: bool, folder: Path) -> list[str]:
    whole, prefixed = blocks("nginx")
    if below:
        whole = changed(whole, (r"    location / \{[^}]*\}\n", lambda _: prefixed))  # type: ignore[arg-type]
    server = changed(whole, ("listen 443 ssl", f"listen 127.0.0.1:{port}"), (r"^ *ssl_certificate.*\n", ""))
    paths = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; user root; worker_processes 1;\n"
        f"events {{ worker_connections 256; }}\nhttp {{ access_log off; {paths}\n{server}\n}}\n"
    )
    return ["nginx", "-c", str(folder / "conf"), "-p", str(folder), "-e", str(folder / "log")]


def haproxy(port: int, below: bool, folder: Path) -> list[str]:
    whole, prefixed = blocks("haproxy")
    if below:
        whole = changed(whole, ("    default_backend chatorch\n", prefixed))
    (folder / "conf").write_text(changed(whole, (r"bind :443 ssl crt \S+", f"bind 127.0.0.1:{port}")))
    return ["haproxy", "-db", "-f", str(folder / "conf")]


def caddy(port: int, below: bool, folder: Path) -> list[str]:
    whole, prefixed = blocks("caddy")
    if below:
        whole = f"chat.example.com {{\n{prefixed}}}\n"
    site = changed(whole, (r"^chat\.example\.com", f"http://:{port}"))
    (folder / "conf").write_text(f"{{\n    admin off\n    auto_https off\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "conf")]


PROXIES: dict[str, Callable[[int, bool, Path], list[str]]] = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy}


@contextmanager
def proxy(kind: str, upstream: int | str, folder: Path, *, prefixed: bool = False) -> Iterator[int]:
    """Before a port of loopback, or what the proxy calls otherwise. Gives the port at which it listens, or will in a
    moment."""
    folder.mkdir()
    port = free_port()
    command = PROXIES[kind](port, prefixed, folder)
    conf, before = folder / "conf", f"127.0.0.1:{upstream}" if isinstance(upstream, int) else upstream
    conf.write_text(changed(conf.read_text(), (re.escape(UPSTREAM), before)))
    with (folder / "out").open("wb") as out:
        environment = {"HOME": str(folder), "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(10)
