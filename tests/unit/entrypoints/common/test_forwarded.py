"""What proxies say of a request, and what of it is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.entrypoints.common.forwarded import MAX_HOPS, Seen, seen_by
from chatorch.entrypoints.common.proxies import TrustedProxies, plain_address, trusted_proxy

PROXIES = TrustedProxies([trusted_proxy(text) for text in ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix")])


def seen(**headers: str | list[str]) -> Seen | None:
    """Names of headers with ``_`` for ``-``; a list is a header that comes several times."""
    pairs = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return seen_by(PROXIES, pairs)


def client_of(*values: str) -> tuple[str, int] | None:
    found = seen(x_forwarded_for=list(values))
    assert found is not None
    return found.client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("198.51.100.7", ("198.51.100.7", 0)),
        (" 198.51.100.7 ", ("198.51.100.7", 0)),
        ("198.51.100.7:4711", ("198.51.100.7", 4711)),
        ("2001:DB9::1", ("2001:db9::1", 0)),
        ("[2001:db9::1]", ("2001:db9::1", 0)),
        ("[2001:db9::1]:4711", ("2001:db9::1", 4711)),
        ("::ffff:198.51.100.7", ("198.51.100.7", 0)),
        ("fe80::1%eth0", ("fe80::1", 0)),
        # the right-most one that is nobody's whom we trust
        ("6.6.6.6, 198.51.100.7", ("198.51.100.7", 0)),
        ("6.6.6.6, 198.51.100.7, 10.1.2.3", ("198.51.100.7", 0)),
        ("6.6.6.6, 198.51.100.7:80, 10.1.2.3:90, [2001:db8::7]:1", ("198.51.100.7", 80)),
        ("garbage, 198.51.100.7, 10.1.2.3", ("198.51.100.7", 0)),
        ("10.9.9.9, 10.1.2.3", ("10.9.9.9", 0)),
        # the peer's own address is better than garbage
        ("", None),
        (",", None),
        ("unknown", None),
        ("garbage", None),
        ("198.51.100.7, garbage", None),
        ("198.51.100.7, garbage, 10.1.2.3", None),
        ("198.51.100.7,", None),
        ("010.0.0.1", None),
        ("198.51.100.7:", None),
        ("198.51.100.7:99999", None),
        ("198.51.100.7:-1", None),
        ("198.51.100.7%eth0", None),
        ("[198.51.100.7]", None),
        ("[::1", None),
        ("::1]:80", None),
        ("localhost", None),
        ("<script>", None),
        ("1.2.3.4 5.6.7.8", None),
        ("\xe9", None),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_not_trusted(value: str, client: tuple[str, int] | None):
    assert client_of(value) == client


def test_several_headers_are_one_list():
    assert client_of("6.6.6.6", "198.51.100.7", "10.1.2.3") == ("198.51.100.7", 0)


def test_a_list_without_end_is_garbage():
    assert client_of(", ".join(["198.51.100.7"] + ["10.1.2.3"] * (MAX_HOPS - 1))) == ("198.51.100.7", 0)
    assert client_of(", ".join(["198.51.100.7"] + ["10.1.2.3"] * MAX_HOPS)) is None
    assert client_of(", ".join(["10.1.2.3"] * 100_000)) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=198.51.100.7", Seen(("198.51.100.7", 0))),
        ("For=198.51.100.7; Proto=HTTPS ;host=chat.example", Seen(("198.51.100.7", 0), "https", "chat.example")),
        ('for="198.51.100.7:4711"', Seen(("198.51.100.7", 4711))),
        ('for="[2001:db9::1]:4711";proto=http', Seen(("2001:db9::1", 4711), "http")),
        ('for="[2001:db9::1]:_port"', Seen(("2001:db9::1", 0))),
        ('for="198\\.51.100.7"', Seen(("198.51.100.7", 0))),
        ("for=6.6.6.6;host=evil, for=198.51.100.7;host=chat.example", Seen(("198.51.100.7", 0), None, "chat.example")),
        (
            "for=198.51.100.7;proto=https;host=chat.example, for=10.1.2.3;proto=http;host=inner",
            Seen(("198.51.100.7", 0), "https", "chat.example"),
        ),
        ('for=6.6.6.6;by="a,b;c", for=198.51.100.7', Seen(("198.51.100.7", 0))),
        ("for=198.51.100.7;for=6.6.6.6", Seen(("198.51.100.7", 0))),
        ("for=198.51.100.7,", Seen(("198.51.100.7", 0))),
        ("secret=x;proto=https", Seen(None, "https")),
        ("for=unknown;proto=https", Seen(None, "https")),
        ("for=_hidden", Seen()),
        ("for=2001:db9::1", Seen(("2001:db9::1", 0))),  # not quoted, as it must be
        ('for="198.51.100.7', Seen()),
        ("for=198.51.100.7;proto", Seen()),
        ("for = 198.51.100.7", Seen()),
        ("garbage", Seen()),
        ("", Seen()),
        ("for=198.51.100.7;proto=gopher;host=a b", Seen()),
        ('for=198.51.100.7;host="a/b"', Seen(("198.51.100.7", 0))),
        ('for=198.51.100.7;host="[::1]:8443"', Seen(("198.51.100.7", 0), None, "[::1]:8443")),
    ],
)
def test_the_standard_header_is_read_as_it_is_defined(value: str, expected: Seen):
    assert seen(forwarded=value) == expected


@pytest.mark.parametrize(
    ("nodes", "schemes", "hosts", "expected"),
    [
        ("198.51.100.7", "https", "chat.example", ("https", "chat.example")),
        ("198.51.100.7, 10.1.2.3", "https", "chat.example", ("https", "chat.example")),
        ("198.51.100.7, 10.1.2.3", "https, http", "chat.example, inner", ("https", "chat.example")),
        ("6.6.6.6, 198.51.100.7, 10.1.2.3", "gopher, https, http", "evil, chat.example, inner",
         ("https", "chat.example")),
        ("198.51.100.7", "http, https", "evil, chat.example", ("https", "chat.example")),
        ("garbage", "https", "chat.example:8443", ("https", "chat.example:8443")),
        ("198.51.100.7", "wss", "chat.example", ("https", "chat.example")),
        ("198.51.100.7", "javascript", "chat.example/x", (None, None)),
        ("198.51.100.7", "", "", (None, None)),
    ],
)  # fmt: skip
def test_scheme_and_host_are_those_that_the_client_asked_for(
    nodes: str, schemes: str, hosts: str, expected: tuple[str | None, str | None]
):
    found = seen(x_forwarded_for=nodes, x_forwarded_proto=schemes, x_forwarded_host=hosts)
    assert found is not None
    assert (found.scheme, found.host) == expected


def test_scheme_and_host_need_no_address():
    assert seen(x_forwarded_proto="https", x_forwarded_host="chat.example") == Seen(None, "https", "chat.example")


def test_where_two_kinds_of_headers_differ_neither_counts():
    """Whoever writes one of them hands on the other one as the client sent it."""
    assert seen(forwarded="for=6.6.6.6", x_forwarded_for="198.51.100.7") is None
    assert seen(forwarded="for=198.51.100.7;host=evil", x_forwarded_for="198.51.100.7") is None
    assert seen(forwarded="for=198.51.100.7", x_forwarded_for="198.51.100.7") == Seen(("198.51.100.7", 0))


def test_nothing_is_said_where_no_proxy_says_anything():
    assert seen(host="chat.example", x_real_ip="6.6.6.6") == Seen()


@given(st.text(st.sampled_from('for=host;,"\\ []:1.2a_%'), max_size=60))
def test_whatever_comes_is_read_or_left(text: str):
    for found in (seen(forwarded=text), seen(x_forwarded_for=text, x_forwarded_host=text)):
        assert found is not None
        assert found.client is None or plain_address(found.client[0]) is not None


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "*", "unix:", "[::1]"])
def test_what_is_no_address_cannot_be_trusted(text: str):
    with pytest.raises(ValueError, match="must be addresses, networks such as") as refused:
        trusted_proxy(text)
    assert text == "" or text not in str(refused.value).replace("10.0.0.0/8", "")


def test_networks_hold_addresses_however_they_are_written():
    proxies = TrustedProxies([trusted_proxy(text) for text in ("::ffff:192.0.2.0/120", "::ffff:10.1.2.3", "::1")])
    inside = ["192.0.2.9", "::ffff:192.0.2.9", "10.1.2.3", "0:0:0:0:0:0:0:1"]
    assert all(proxies.trusts(plain_address(text)) for text in inside)
    assert not any(proxies.trusts(plain_address(text)) for text in ("192.0.3.9", "10.1.2.4", "::2"))


def test_none_are_trusted_where_none_are_named():
    assert not TrustedProxies()
    assert TrustedProxies(["unix"])
