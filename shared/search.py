"""Search terms of people, for `search_key(column) LIKE search_key(%(q)s)`."""


def contains(term: str | None) -> str | None:
    """The LIKE pattern of values that contain `term`, its wildcards taken literally; None stays None."""
    if term is None:
        return None
    escaped = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
