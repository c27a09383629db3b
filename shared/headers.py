"""The headers that every answer carries, whatever it is: what a browser may do with it, and with whom."""

from collections.abc import Iterable

# An answer is data: it may load nothing, run nothing and be shown in no frame. A page says what it needs itself.
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HSTS = "max-age=31536000"  # a year; only whoever owns the domain can speak for its subdomains

RawHeaders = Iterable[tuple[bytes, bytes]]

_ALWAYS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_OVER_TLS = (b"strict-transport-security", HSTS.encode())


def completed(headers: RawHeaders, request_id: str, *, over_tls: bool) -> list[tuple[bytes, bytes]]:
    """The headers of an answer (names in lower case, as ASGI has them) and those that it lacks."""
    given = list(headers)
    present = {name for name, _ in given}
    wanted = (*_ALWAYS, (b"x-request-id", request_id.encode()), *((_OVER_TLS,) if over_tls else ()))
    return given + [header for header in wanted if header[0] not in present]
