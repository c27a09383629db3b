"""Search terms of people, for LIKE."""

# How many words of a term are looked for each on its own; the last of them takes the rest, in their order.
_WORDS = 5
_LETTERS = 2
# LIKE's wildcards, and what `search_key` makes one of: it sees the pattern, so they have to be escaped before.
_LITERAL = str.maketrans(dict.fromkeys("%％﹪", "\\%") | dict.fromkeys("_＿", "\\_") | dict.fromkeys("\\＼﹨∖", "\\\\"))


def contains(term: str | None) -> str | None:
    """The LIKE pattern of values that contain the words of `term` in their order, as half-remembered names go.

    Its wildcards are taken literally; None stays None. For `search_key(column) LIKE search_key(%(q)s)`.
    """
    if term is None:
        return None
    return f"%{'%'.join(term.translate(_LITERAL).split())}%"


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
