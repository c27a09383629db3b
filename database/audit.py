"""Verifies the audit trail: `python -m database.audit`, with `DATABASE_URL` in the environment.

Recomputes every event's hash over its content and its predecessor's, and compares each chain's newest event with what
the chain remembers. Exit status 0: whole; 1: something was changed or is missing, a line for each finding.
"""

import os
import sys
from collections.abc import Iterator

import psycopg2

CHANGED = """
    SELECT id, chain, position, hash IS DISTINCT FROM audit_hash(event, coalesce(previous, ''))
    FROM (SELECT event, id, chain, position, hash,
                 row_number() OVER of_chain AS place, lag(hash) OVER of_chain AS previous
          FROM audit_events event WHERE chain IS NOT NULL
          WINDOW of_chain AS (PARTITION BY chain ORDER BY position)) events
    WHERE hash IS DISTINCT FROM audit_hash(event, coalesce(previous, '')) OR place <> position
    ORDER BY chain, position
"""
# Events from before there were chains have none: nothing vouches for them, but a later one without is no such event.
UNCHAINED = """
    SELECT id FROM audit_events WHERE chain IS NULL AND id > (SELECT min(id) FROM audit_events WHERE chain IS NOT NULL)
    ORDER BY id
"""
CUT = """
    SELECT c.chain, c.position
    FROM audit_chains c LEFT JOIN audit_events e ON e.chain = c.chain AND e.position = c.position AND e.hash = c.hash
    WHERE e.id IS NULL
    UNION
    SELECT e.chain, max(e.position) FROM audit_events e
    WHERE e.chain IS NOT NULL AND NOT EXISTS (SELECT FROM audit_chains c WHERE c.chain = e.chain) GROUP BY e.chain
    ORDER BY 1
"""


def findings(database_url: str) -> Iterator[str]:
    """A line for each event that was changed, follows a missing one or is in no chain, and each chain cut short."""
    connection = psycopg2.connect(database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(CHANGED)
            for event_id, chain, position, broken in cursor.fetchall():
                what = "was changed, or the one before it was changed or is missing" if broken else "is out of place"
                yield f"event {event_id} ({chain}, position {position}) {what}"
            cursor.execute(UNCHAINED)
            for (event_id,) in cursor.fetchall():
                yield f"event {event_id} is in no chain"
            cursor.execute(CUT)
            for chain, position in cursor.fetchall():
                yield f"chain {chain} does not end in its newest event, position {position}"
    finally:
        connection.close()


def main() -> int:
    """The command line."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        print("audit: DATABASE_URL is not set", file=sys.stderr)
        return 2
    found = list(findings(url))
    print(*found, sep="\n", end="\n" if found else "")
    print("The audit trail is broken." if found else "The audit trail is whole.")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
