"""Where the server listens, and what keeps it from it."""

import os
import socket
import stat
from pathlib import Path

import pytest

from chatorch.entrypoints.common.prefix import leave_out_twice
from chatorch.entrypoints.process.listening import Endpoint, ServeRefused, told
from chatorch.entrypoints.process.root_path import checked_prefix
from chatorch.entrypoints.process.stopping import end_well


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def refusal(endpoint: Endpoint) -> str:
    with pytest.raises(ServeRefused) as refused:
        endpoint.open()
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_unix_socket_is_open_to_whom_the_mode_says_and_goes_at_the_end(path: Path, mode: int):
    with Endpoint(uds=path, uds_mode=mode).open() as listener:
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert told(listener) == {"uds": str(path)}
        end_well()
    assert not path.exists()


def test_what_a_dead_server_left_is_taken_over_and_what_a_live_one_has_is_not(path: Path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Endpoint(uds=path).open():
        assert "is in use already" in refusal(Endpoint(uds=path))
        path.unlink()
        path.write_text("somebody else's")
        end_well()
    assert path.read_text() == "somebody else's"


def test_what_is_no_socket_is_left_alone(path: Path, tmp_path: Path):
    path.write_text("mine")
    (tmp_path / "link").symlink_to(path)
    for there in (path, tmp_path / "link", tmp_path):
        assert "no socket" in refusal(Endpoint(uds=there))
    assert path.read_text() == "mine"
    assert "No such file" in refusal(Endpoint(uds=tmp_path / "nowhere" / "s"))
    assert "too long" in refusal(Endpoint(uds=tmp_path / ("x" * 200)))


def test_a_socket_that_is_open_is_served_as_it_is():
    with socket.create_server(("127.0.0.1", 0)) as given:
        adopted = Endpoint(fd=os.dup(given.fileno())).open()
        with adopted:
            assert told(adopted) == dict(zip(("host", "port"), given.getsockname(), strict=True))


def test_a_socket_that_is_only_bound_is_listened_on():
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        with Endpoint(fd=os.dup(given.fileno())).open() as adopted:
            assert adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_what_cannot_be_served_is_refused(path: Path):
    one, other = socket.socketpair()
    with one, other, socket.socket(type=socket.SOCK_DGRAM) as datagrams, path.open("w") as file:
        assert refusal(Endpoint(fd=file.fileno())) == f"--fd: {file.fileno()} is no socket"
        assert "no stream socket" in refusal(Endpoint(fd=datagrams.fileno()))
        assert "cannot be listened on" in refusal(Endpoint(fd=one.fileno()))
        assert one.send(b"still open") == 10
    for number in (999_999, 10**20):
        assert "is not open" in refusal(Endpoint(fd=number))
    assert "exclude each other" in refusal(Endpoint(fd=3, uds=path))


@pytest.mark.parametrize("host", ["nosuch.invalid", "a..b", "x" * 70, "[::1]", "127.0.0.1:80", "http://x", "a\udcff"])
def test_a_host_that_is_none_is_refused_in_words(host: str):
    assert refusal(Endpoint(host=host, port=0)).startswith(
        "--host: must be an address such as 0.0.0.0 or ::, or a name"
    )


def test_an_address_is_told_as_it_is_written_in_a_url():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        assert refusal(Endpoint(host="::1", port=port)).startswith(f"[::1]:{port} is in use already")


def test_all_addresses_are_those_of_ipv4_too():
    with Endpoint(host="::", port=0).open() as listener:
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, listener.getsockname()[1]), timeout=5).close()


@pytest.mark.parametrize(("text", "prefix"), [("", ""), ("/", ""), ("/chat", "/chat"), ("/a/b/", "/a/b")])
def test_a_prefix_is_a_path(text: str, prefix: str):
    assert checked_prefix(text) == prefix


@pytest.mark.parametrize("text", ["chat", "//", "/a//b", "/a b", "/../x", "/{x}", "http://x/chat", "/ä", "/a?b"])
def test_what_is_no_path_is_no_prefix(text: str):
    if text != "//":
        with pytest.raises(ServeRefused, match="--root-path"):
            checked_prefix(text)


@pytest.mark.parametrize(
    ("prefix", "came", "meant"),
    [
        ("/chat", "/api/me", "/api/me"),
        ("/chat", "/chat/api/me", "/api/me"),
        ("/chat", "/chat", "/"),
        ("/chat", "/chat/", "/"),
        ("/chat", "/", "/"),
        ("/chat", "/chatkit", "/chatkit"),
        ("/chat", "/chat/chatkit", "/chatkit"),
        ("/a/b", "/a/b/ws/chat/x", "/ws/chat/x"),
        ("/api", "/api/me", "/api/me"),
        ("", "/api/me", "/api/me"),
    ],
)
def test_a_proxy_may_strip_the_prefix_or_not(prefix: str, came: str, meant: str):
    scope = {"root_path": prefix, "path": prefix + came, "raw_path": (prefix + came).encode()}
    leave_out_twice(scope, {"api"})
    assert scope["path"] == prefix + meant
