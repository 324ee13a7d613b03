"""What tools of servers are called."""

import re

from hypothesis import given
from hypothesis import strategies as st

from chatorch.adapters.tools.mcp.names import public_name, server_in

SERVERS = st.from_regex(r"[a-z]([a-z0-9-]|_(?!_)){0,30}[a-z0-9]", fullmatch=True)
TOOLS = st.text(min_size=1, max_size=100) | st.from_regex(r"[a-zA-Z_.-]{1,80}", fullmatch=True)


def test_a_name_that_fits_is_left_as_it_is():
    assert public_name("files", "read_file") == "files__read_file"
    assert public_name("git-hub", "_private") == "git-hub___private"


def test_a_name_that_does_not_fit_ends_in_a_mark():
    assert re.fullmatch(r"files__read_file_[0-9a-f]{8}", public_name("files", "read.file"))
    assert re.fullmatch(r"files__x{48}_[0-9a-f]{8}", public_name("files", "x" * 100))
    assert public_name("files", "lone \ud800") != public_name("files", "lone \ud801")


@given(SERVERS, SERVERS, TOOLS, TOOLS)
def test_two_never_have_one_name_and_every_provider_takes_it(a: str, b: str, one: str, other: str):
    name = public_name(a, one)

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
    assert server_in(name) == a
    assert (name == public_name(b, other)) == ((a, one) == (b, other))
