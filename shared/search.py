"""Search terms of people, for LIKE."""

# How many words of a term are looked for each on its own; the last of them takes the rest, in their order.
_WORDS = 5
_LETTERS = 2


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
    patterns = dict.fromkeys(name for number in range(_WORDS) for name in (f"word_{number}", f"letters_{number}"))
    for number, word in enumerate(split):
        patterns[f"word_{number}" if len(word) > _LETTERS else f"letters_{number}"] = contains(word)
    return patterns


def finds(column: str) -> str:
    """The optional conditions (see shared.prepared) that `column`, a `search_text`, contains all `words`."""
    # So few letters are no trigram: an index of these would be read from end to end, so it isn't to be used.
    return " ".join(
        f"[PLAN AND {column} LIKE search_key(%(word_{number})s)] "
        f"[PLAN AND {column} || '' LIKE search_key(%(letters_{number})s)]"
        for number in range(_WORDS)
    )
