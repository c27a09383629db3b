"""Which of the two languages an answer is written in."""

LANGUAGES = ("es", "en")


def negotiate(accept_language: str | None, default: str) -> str:
    """The language of LANGUAGES that `Accept-Language` (RFC 9110, section 12.5.4) likes best, else `default`."""
    best, best_quality = default, 0.0
    for part in (accept_language or "").split(","):
        tag, _, parameters = part.partition(";")
        language = tag.strip().lower().split("-")[0]
        quality = weight(parameters)
        if language in LANGUAGES and quality > best_quality:
            best, best_quality = language, quality
    return best


def weight(parameters: str) -> float:
    """The `q` among the parameters of a range (RFC 9110, section 12.4.2): 1 without it, 0 if it is no number."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
