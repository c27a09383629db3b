"""Whose request it is when proxies stand in between."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address


def client_address(
    peer: str | None, forwarded_for: str | None, trusted: Sequence[IPv4Network | IPv6Network]
) -> str | None:
    """The address of the client: the peer's, or what trusted proxies say in `X-Forwarded-For`.

    The header is read from its end: each trusted proxy added the address that it saw, whatever stands before was
    written by a stranger.
    """
    address = peer
    for hop in reversed((forwarded_for or "").split(",")):
        if address is None or not _is_trusted(address, trusted):
            return address
        try:
            address = str(ip_address(hop.strip()))
        except ValueError:
            return address
    return address


def over_tls(
    scheme: str, peer: str | None, forwarded_proto: str | None, trusted: Sequence[IPv4Network | IPv6Network]
) -> bool:
    """Whether the client's connection is encrypted, by our own end of it or by the word of a trusted proxy."""
    if scheme == "https":
        return True
    said = (forwarded_proto or "").rpartition(",")[2].strip().lower()
    return said == "https" and peer is not None and _is_trusted(peer, trusted)


def _is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)
