"""The SQL of institutions' accreditations."""

from typing import Any
from uuid import UUID

from shared.postgres import Executor, NamedErrors, Row, named_errors
from shared.prepared import Prepared

from .errors import AccreditationEndsBeforeItBegins, AccreditationNotFound

_CONSTRAINTS: NamedErrors = {"ck_accreditations_validity": AccreditationEndsBeforeItBegins}

_ACCREDITATION = """
    id, body, number, valid_from, valid_until, created_at,
    CASE WHEN valid_until < current_date THEN 'expired'
         WHEN valid_until <= current_date + 90 THEN 'expiring'
         ELSE 'valid' END AS status
"""

GET_ACCREDITATION = (
    "SELECT " + _ACCREDITATION + " FROM accreditations WHERE institution_id = %(institution_id)s AND id = %(id)s"
)

LIST_ACCREDITATIONS = Prepared(
    "SELECT "
    + _ACCREDITATION
    + """
    FROM accreditations
    WHERE institution_id = %(institution_id)s
      [AND (created_at, id) < (%(after_created_at)s::timestamptz, %(after_id)s::uuid)]
    ORDER BY created_at DESC, id DESC
    LIMIT %(limit)s + 1
"""
)

INSERT_ACCREDITATION = (
    """
    INSERT INTO accreditations (institution_id, body, number, valid_from, valid_until)
    VALUES (%(institution_id)s, %(body)s, %(number)s, %(valid_from)s, %(valid_until)s)
    RETURNING
"""
    + _ACCREDITATION
)


async def get_accreditation(executor: Executor, institution_id: UUID, accreditation_id: UUID) -> Row:
    """An accreditation. Raises AccreditationNotFound."""
    row = await executor.fetch_one(GET_ACCREDITATION, {"institution_id": institution_id, "id": accreditation_id})
    if row is None:
        raise AccreditationNotFound
    return row


async def list_accreditations(executor: Executor, institution_id: UUID, after: list[Any], limit: int) -> list[Row]:
    """Up to `limit` + 1 accreditations, the last added first, after the position `[created_at, id]`."""
    place = {"after_created_at": after[0], "after_id": after[1], "limit": limit}
    return await executor.fetch_all(LIST_ACCREDITATIONS, {"institution_id": institution_id, **place})


async def insert_accreditation(executor: Executor, institution_id: UUID, accreditation: dict[str, Any]) -> Row:
    """Add an accreditation. Raises AccreditationEndsBeforeItBegins."""
    with named_errors(_CONSTRAINTS):
        row = await executor.fetch_one(INSERT_ACCREDITATION, {"institution_id": institution_id, **accreditation})
    assert row is not None  # RETURNING gives what was inserted
    return row
