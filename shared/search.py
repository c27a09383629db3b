"""Search terms of people, for LIKE."""

# How many words of a term are looked for each on its own; the last of them takes the rest, in their order.
_WORDS = 5


def contains(term: str | None) -> str | None:
    """The LIKE pattern of values that contain the words of `term` in their order, as half-remembered names go.

    Its wildcards are taken literally; None stays None. For `search_key(column) LIKE search_key(%(q)s)`.
    """
    if term is None:
        return None
    escaped = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{'%'.join(escaped.split())}%"


def words(term: str | None) -> dict[str, str | None]:
    """The parameters of `finds`: of values that contain every word of `term`, in any order; None: all values."""
    split = (term or "").split(maxsplit=_WORDS - 1)
    return {f"word_{number}": contains(word) for number, word in enumerate(split + [None] * (_WORDS - len(split)))}


def finds(column: str) -> str:
    """The condition that `column`, a `search_text`, contains all `words`."""
    return " AND ".join(_finds(column, f"%(word_{number})s") for number in range(_WORDS))


def _finds(column: str, word: str) -> str:
    # One or two letters are no trigram: an index of these would be read from end to end, so it isn't to be used.
    return f"""({word} IS NULL OR CASE WHEN length({word}) > 4 THEN {column} LIKE search_key({word})
                ELSE {column} || '' LIKE search_key({word}) END)"""
