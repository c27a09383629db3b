"""Verifies the audit trail: `python -m database.audit`, with `DATABASE_URL` in the environment.

Recomputes every event's hash over its content and its predecessor's, and compares each chain's newest event with what
the chain remembers. Exit status 0: whole; 1: something was changed or is missing, a line for each finding.

`python -m database.audit watch` does so every `AUDIT_WATCH_SECONDS` (a day) and tells Prometheus what it found last and
when, at `AUDIT_WATCH_LISTEN` (127.0.0.1:9180). It is no part of a service, which could not be trusted with it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import psycopg2
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from .address import database_url

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

# After a verification that could not be made: the database was away.
RETRY_SECONDS = 60


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


def verify(database_url: str) -> int:
    """Print what is found; how much that is."""
    found = list(findings(database_url))
    print(*found, sep="\n", end="\n" if found else "")
    print("The audit trail is broken." if found else "The audit trail is whole.", flush=True)
    return len(found)


def watch(database_url: str, listen: str, seconds: float) -> NoReturn:
    """Verify again and again, for Prometheus; there are no numbers until the first time has succeeded."""
    registry = CollectorRegistry()
    found = Gauge("predicthealth_audit_findings", "Findings of the last verification.", registry=None)
    verified = Gauge("predicthealth_audit_verified_timestamp_seconds", "When that was (Unix time).", registry=None)
    host, _, port = listen.rpartition(":")
    start_http_server(int(port), host, registry)
    known = False
    while True:
        try:
            found.set(verify(database_url))
        except psycopg2.Error as exc:
            print(f"audit: not verified ({type(exc).__name__})", file=sys.stderr, flush=True)
            time.sleep(min(seconds, RETRY_SECONDS))
            continue
        verified.set_to_current_time()
        if not known:
            registry.register(found)
            registry.register(verified)
            known = True
        time.sleep(seconds)


def main() -> int:
    """The command line."""
    try:
        url = database_url(os.environ)
    except ValueError as exc:
        print(f"audit: {exc}", file=sys.stderr)
        return 2
    if sys.argv[1:] != ["watch"]:
        return 1 if verify(url) else 0
    listen = os.environ.get("AUDIT_WATCH_LISTEN") or "127.0.0.1:9180"
    with contextlib.suppress(KeyboardInterrupt):
        watch(url, listen, float(os.environ.get("AUDIT_WATCH_SECONDS") or 86_400))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
