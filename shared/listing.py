"""The page of a long list in SQL, at the same cost for a common word, for a rare one and for one that nobody has."""

from typing import Any

from .errors import Forbidden

# How many rows are walked before the search turns round. A page of 51 fills on the way where one in 100 matches; where
# fewer do, all that do can be looked up and sorted (docs/decisions/0019-walk-then-look-up.md).
WINDOW = 5000
# Where the index of the order holds the searched text, too, as that of patients by name: no row itself is read then.
WIDE_WINDOW = 20_000
# Of a page, with the row after it; said in the text, since a plan made once does not know `%(limit)s`.
LONGEST = 201


def page(table: str, *, within: str, matching: str, position: str, order: str, window: int = WINDOW) -> str:
    """The ids of up to `%(limit)s` + 1 rows of `table` (with its alias `p`), as a SELECT; its caller sorts them again.

    `within` has an index in the order `order`, and so has `position`, what is after the cursor: both may be optional
    conditions (shared.prepared). `matching` is whatever else the rows must be, each of it `[PLAN AND …]`. The list is
    walked in its order until the page is full; if it isn't within `window` rows, the matching rows are few and are
    looked up instead, by whichever index is the best for them.
    """
    rows = f"FROM {table} p WHERE {within} {position}"
    return f"""
    (WITH near AS MATERIALIZED (
        -- Directly within the LIMIT of the page: so the planner reckons with that one, not with the window's end.
        SELECT id FROM (
            SELECT id FROM (SELECT p.id, (true {matching}) AS matches {rows} ORDER BY {order} LIMIT {window}) walked
            WHERE matches LIMIT {LONGEST}) page
        LIMIT %(limit)s + 1
    )
    SELECT id FROM near
    UNION ALL
    -- OFFSET 0: else the planner would walk on, in the hope that the page is full soon.
    (SELECT id FROM (SELECT p.id FROM (SELECT p.* {rows} {matching} OFFSET 0) p
                     WHERE (SELECT count(*) FROM near) <= %(limit)s ORDER BY {order} LIMIT {LONGEST}) page
     LIMIT %(limit)s + 1))
    """


def own(scope: dict[str, Any]) -> dict[str, Any]:
    """The scope as one equality for each role, so that a list walks that role's index in its order.

    For admins none is left, and so all is theirs; raises Forbidden for whoever has no such list.
    """
    if scope["caller_type"] not in ("admin", "doctor", "institution"):
        raise Forbidden
    roles = {"caller_doctor_id": "doctor", "caller_institution_id": "institution"}
    return {name: scope["caller_id"] if scope["caller_type"] == role else None for name, role in roles.items()}
