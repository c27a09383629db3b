"""Search terms of people, as patterns for PostgreSQL."""

import re

# Of a parameter `q`, for people who read the API's documentation.
HOW_FOUND = "in any order, without case and accents; one or two letters begin a word."

# How many words of a term are looked for each on its own; the last of them takes the rest, in their order.
_WORDS = 5
# What stands between words: spaces, and the signs of a list such as `Núñez, Ana`. What of one counts: from its first
# letter or digit on.
_BETWEEN = re.compile(r"[\s,;]+")
_COUNTS = re.compile(r"[^\W_].*")
# A trigram, as the indexes know them: three letters or digits in a row.
_TRIGRAM = re.compile(r"[^\W_]{3}")
# Where a word begins, after whatever separates trigrams in a name, a licence or an e-mail: a regular expression in a
# literal of SQL, without brackets, which mark optional conditions.
_BEGINS = r"(^| |\.|,|;|@|_|-|''|\+|/|\()"
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
    """The parameters of `finds`: of values that contain every word of `term`, in any order; None: all values.

    A word without three letters or digits in a row is looked for where words begin: only there do the indexes know it.
    Signs before its first letter or digit count as little as spaces.
    """
    split = [found[0] for word in _BETWEEN.split(term or "") if (found := _COUNTS.search(word))]
    if len(split) > _WORDS:
        split[_WORDS - 1 :] = [" ".join(split[_WORDS - 1 :])]
    patterns = dict.fromkeys(name for number in range(_WORDS) for name in (f"word_{number}", f"beginning_{number}"))
    for number, word in enumerate(split):
        if _TRIGRAM.search(word):
            patterns[f"word_{number}"] = contains(word)
        else:
            patterns[f"beginning_{number}"] = word
    return patterns


def finds(column: str) -> str:
    """The optional conditions (see shared.prepared) that `column`, a `search_text`, contains all `words`."""
    return " ".join(
        f"[PLAN AND {column} LIKE search_key(%(word_{number})s)] [PLAN AND {column} ~ "
        rf"('{_BEGINS}' || regexp_replace(search_key(%(beginning_{number})s), '(\W)', '\\\1', 'g'))]"
        for number in range(_WORDS)
    )
