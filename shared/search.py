"""Search terms of people, for `search_key(column) LIKE search_key(%(q)s)`."""


def contains(term: str | None) -> str | None:
    """The LIKE pattern of values that contain the words of `term` in their order, as half-remembered names go.

    Its wildcards are taken literally; None stays None.
    """
    if term is None:
        return None
    escaped = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{'%'.join(escaped.split())}%"
