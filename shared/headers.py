"""The headers that every answer carries, whatever it is: what a browser may do with it, and with whom."""

from collections.abc import Iterable

# An answer is data: it may load nothing, run nothing and be shown in no frame. A page says what it needs itself.
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HSTS = "max-age=31536000"  # a year; only whoever owns the domain can speak for its subdomains

RawHeaders = Iterable[tuple[bytes, bytes]]

_ALWAYS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def completed(headers: RawHeaders, *, over_tls: bool, **own: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer and those that it lacks; `own` are the request's (`_` stands for `-`)."""
    given = list(headers)
    present = {name.lower() for name, _ in given}
    wanted = {**_ALWAYS, **({"Strict-Transport-Security": HSTS} if over_tls else {})}
    wanted |= {name.replace("_", "-"): value for name, value in own.items()}
    lacking = {name.lower().encode(): value.encode() for name, value in wanted.items()}
    return given + [(name, value) for name, value in lacking.items() if name not in present]
