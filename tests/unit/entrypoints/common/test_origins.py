"""Origins as operators name them, and as browsers send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.entrypoints.common.origins import AllowedOrigins, allowed_origin, canonical_origin

NAMED = {
    "https://chat.example.com": "https://chat.example.com",
    "https://APP.example": "https://app.example",
    "HTTPS://app.example": "https://app.example",
    "https://a:443": "https://a",
    "http://a:80": "http://a",
    "http://a:443": "http://a:443",
    "https://a:8443": "https://a:8443",
    "http://localhost:03000": "http://localhost:3000",
    "https://chat.example.com/": "https://chat.example.com",
    "https://Bücher.example": "https://xn--bcher-kva.example",
    "https://faß.example": "https://xn--fa-hia.example",
    "https://chat。example。com": "https://chat.example.com",
    "https://XN--bcher-kva.example": "https://xn--bcher-kva.example",
    "https://a_b.example": "https://a_b.example",
    "https://a.example.": "https://a.example.",
    "http://127.0.0.1:3000": "http://127.0.0.1:3000",
    "http://[::1]:3000": "http://[::1]:3000",
    "http://[0:0:0:0:0:0:0:1]": "http://[::1]",
    "http://[2001:DB8::1]:80": "http://[2001:db8::1]",
    "tauri://localhost": "tauri://localhost",
    "http://tauri.localhost": "http://tauri.localhost",
    "capacitor://localhost": "capacitor://localhost",
    "Ionic://localhost/": "ionic://localhost",
    "app://.": "app://.",
    "app://obsidian.md": "app://obsidian.md",
    "app://localhost:80": "app://localhost:80",
    "chrome-extension://ABCDEFGHijklmnop": "chrome-extension://abcdefghijklmnop",
    "moz-extension://0b5e0f2e-1c8d-4c3f-9d3f-4f2b6a1d0c11": "moz-extension://0b5e0f2e-1c8d-4c3f-9d3f-4f2b6a1d0c11",
    "https://*.Example.com": "https://*.example.com",
    "https://*.example.com:443/": "https://*.example.com",
    "https://*.example.com:8443": "https://*.example.com:8443",
    "https://*.bücher.example": "https://*.xn--bcher-kva.example",
    "http://*.localhost:3000": "http://*.localhost:3000",
    "*": "*",
}


@pytest.mark.parametrize(("text", "canonical"), NAMED.items(), ids=range(len(NAMED)))
def test_an_origin_is_taken_as_the_browser_will_send_it(text: str, canonical: str):
    assert allowed_origin(text) == canonical
    assert allowed_origin(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("null", "null"),
        ("NULL", "null"),
        ("chat.example.com", "without a path"),
        ("//chat.example.com", "without a path"),
        ("localhost:3000", "without a path"),
        ("https://", "without a path"),
        ("https:///", "without a path"),
        ("https://a.example/x", "without a path"),
        ("https://a.example//", "without a path"),
        ("https://a.example?", "without a path"),
        ("https://a.example#", "without a path"),
        ("https://user@a.example", "without a path"),
        ("https://a.example\\b", "without a path"),
        ("https://a b", "without a path"),
        ("https://a:b", "without a path"),
        ("https://a:", "without a path"),
        ("https://a:٤٤٣", "without a path"),
        ("https://a%2eb", "without a path"),
        ("://a", "without a path"),
        ("file:///", "without a path"),
        ("file://a", "scheme"),
        ("wss://chat.example.com", "scheme"),
        ("ftp://a", "scheme"),
        ("https://a:0", "port"),
        ("https://a:65536", "port"),
        ("https://a..b", "a name or an address"),
        ("https://.a", "a name or an address"),
        ("https://[::1", "without a path"),
        ("https://[:::1]", "a name or an address"),
        ("https://a\u2100b", "a name or an address"),
        ("http://127.1", "four numbers"),
        ("http://1.2.3.256", "four numbers"),
        ("http://0x7f.0.0.1.0x1", "four numbers"),
        ("tauri://", "without a path"),
        ("tauri://ä", "plain host"),
        ("https://*", "subdomains"),
        ("https://*.", "without a path"),
        ("*://x", "subdomains"),
        ("*://*.example.com", "subdomains"),
        ("https://a.*.com", "subdomains"),
        ("https://*.*.com", "subdomains"),
        ("https://*example.com", "subdomains"),
        ("https://x*.example.com", "subdomains"),
        ("https://*.example.com:*", "subdomains"),
        ("https://example.com:*", "subdomains"),
        ("chrome-extension://*", "subdomains"),
        ("tauri://*.localhost", "subdomains"),
        ("**", "subdomains"),
        ("https://*.example", "behind the *"),
        ("https://*.com", "behind the *"),
        ("https://*.com.", "behind the *"),
        ("https://*.1.2.3.4", "behind the *"),
        ("https://*.[::1]", "behind the *"),
        ("https://*.a.example/x", "without a path"),
    ],
)
def test_what_no_browser_sends_is_refused_in_words(text: str, why: str):
    with pytest.raises(ValueError) as refused:  # its words are looked at below
        allowed_origin(text)
    assert why in str(refused.value)
    assert str(refused.value).startswith(("must ", "may "))


ALLOWED = AllowedOrigins(
    [allowed_origin(text) for text in ("https://one.example", "https://*.example.com", "https://*.dev.example:8443")]
)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://one.example", True),
        ("https://ONE.example", True),
        ("https://one.example:443", True),
        ("https://chat.example.com", True),
        ("https://Chat.Example.com", True),
        ("https://a.b.c.example.com", True),
        ("https://x.dev.example:8443", True),
        ("https://one.example/", False),
        ("https://one.example:8443", False),
        ("http://one.example", False),
        ("https://sub.one.example", False),
        ("https://example.com", False),
        ("https://.example.com", False),
        ("https://a..example.com", False),
        ("https://evilexample.com", False),
        ("https://example.com.evil.example", False),
        ("https://chat.example.com.", False),
        ("https://chat.example.com:8443", False),
        ("http://chat.example.com", False),
        ("https://x.dev.example", False),
        ("https://chat.example.com@evil.example", False),
        ("https://evil.example/.example.com", False),
        ("https://*.example.com", False),
        ("https://a,b.example.com", False),
        ("https://evil.example https://chat.example.com", False),
        ("https://chät.example.com", False),
        ("tauri://chat.example.com", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_page_is_allowed_by_name_or_as_part_of_a_domain_and_else_not(origin: str, allowed: bool):
    assert ALLOWED.allows(origin) is allowed


def test_where_all_are_allowed_null_is_not():
    everybody = AllowedOrigins(["*"])
    assert everybody.allows("https://anybody.example")
    assert everybody.allows("tauri://localhost")
    assert not everybody.allows("null")


def test_none_are_allowed_where_none_are_named():
    assert not AllowedOrigins()
    assert not AllowedOrigins().allows("https://one.example")
    assert AllowedOrigins(["https://*.example.com"])


@given(st.text(st.sampled_from("abz019.-*:/@[]%\\ https://example.comé"), max_size=40))
def test_what_is_taken_can_be_matched(text: str):
    """Nothing is accepted and dead."""
    try:
        named = allowed_origin("https://" + text)
    except ValueError:
        return
    sent = named.replace("*.", "sub.")
    assert canonical_origin(sent) == sent
    assert AllowedOrigins([named]).allows(sent)
    assert not AllowedOrigins([named]).allows(sent + ".evil.example")
