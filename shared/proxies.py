"""Whose request it is, and below which path, when proxies stand in between."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

_PREFIX = re.compile(r"/[a-z]{1,32}")


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


def path_prefix(peer: str | None, forwarded_prefix: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The path below which a trusted proxy shows this service (its `X-Forwarded-Prefix`); empty at the root."""
    believed = peer is not None and _is_trusted(peer, trusted) and _PREFIX.fullmatch(forwarded_prefix)
    return forwarded_prefix if believed else ""


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
