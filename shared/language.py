"""Which of the two languages an answer is written in."""

LANGUAGES = ("es", "en")


def negotiate(accept_language: str | None, default: str) -> str:
    """The language of LANGUAGES that `Accept-Language` (RFC 9110, section 12.5.4) likes best, else `default`."""
    best, best_quality = default, 0.0
    for part in (accept_language or "").split(","):
        tag, _, parameters = part.partition(";")
        language = tag.strip().lower().split("-")[0]
        quality = _quality(parameters)
        if language in LANGUAGES and quality > best_quality:
            best, best_quality = language, quality
    return best


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
