"""Whose address counts: nobody chooses their own by a header."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.proxies import client_address, path_prefix

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("192.0.2.1"), ip_network("2001:db8::/32")]
PROXY, STRANGER = "10.1.1.1", "203.0.113.7"

trusted = st.one_of(
    st.ip_addresses(network="10.0.0.0/8"), st.just(ip_address("192.0.2.1")), st.ip_addresses(network="2001:db8::/32")
).map(str)
untrusted = st.ip_addresses().filter(lambda address: not any(address in network for network in TRUSTED)).map(str)
# What a client may write into the header before it sends it: addresses, words, commas, blanks.
written = st.lists(st.one_of(trusted, untrusted, st.text(max_size=20), st.just("")), max_size=6).map(", ".join)


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        (STRANGER, None, STRANGER),
        (STRANGER, "198.51.100.1", STRANGER),
        (PROXY, None, PROXY),
        (PROXY, "", PROXY),
        (PROXY, STRANGER, STRANGER),
        (PROXY, f"198.51.100.1, {STRANGER}", STRANGER),
        (PROXY, f"198.51.100.1,{STRANGER} , 192.0.2.1", STRANGER),
        (PROXY, f"198.51.100.1, {STRANGER}, 198.51.100.9", "198.51.100.9"),
        (PROXY, "10.2.2.2, 10.3.3.3", "10.2.2.2"),
        (PROXY, "unknown", PROXY),
        (PROXY, f"{STRANGER}, nonsense", PROXY),
        (PROXY, f"{STRANGER}, 10.4.4.4, nonsense, 10.3.3.3", "10.3.3.3"),
        (PROXY, "2001:DB8::1, 2a00::1", "2a00::1"),
        (None, STRANGER, None),
        ("a socket", STRANGER, "a socket"),
    ],
)
def test_the_header_is_read_from_its_end_while_the_hops_are_trusted(
    peer: str | None, header: str | None, expected: str | None
) -> None:
    assert client_address(peer, header, TRUSTED) == expected


@given(untrusted, written)
def test_without_a_trusted_peer_the_header_says_nothing(peer: str, header: str) -> None:
    assert client_address(peer, header, TRUSTED) == peer


@given(st.one_of(trusted, untrusted), written)
def test_where_no_proxy_is_trusted_the_header_says_nothing(peer: str, header: str) -> None:
    assert client_address(peer, header, []) == peer


@given(written, untrusted, st.lists(trusted, max_size=3), trusted)
def test_what_a_client_wrote_never_counts(header: str, sender: str, hops: list[str], peer: str) -> None:
    """A stranger sends a header; each proxy adds whom it sees. Whatever was sent, the answer is the sender."""
    received = ", ".join([header, sender, *hops] if header else [sender, *hops])
    assert client_address(peer, received, TRUSTED) == sender


@given(st.text(), trusted)
def test_any_header_gives_an_address(header: str, peer: str) -> None:
    ip_address(client_address(peer, header, TRUSTED) or "")


@given(trusted)
def test_a_trusted_proxy_names_the_path_before_ours(peer: str) -> None:
    assert path_prefix(peer, "/patients", TRUSTED) == "/patients"
    for odd in ("", "/", "patients", "//evil.example", "/a/b", "/<script>", "/patients\n", "/é", "/" + "a" * 33):
        assert path_prefix(peer, odd, TRUSTED) == ""


@given(untrusted)
def test_nobody_else_does(peer: str) -> None:
    assert path_prefix(peer, "/patients", TRUSTED) == ""
    assert path_prefix(None, "/patients", TRUSTED) == ""
