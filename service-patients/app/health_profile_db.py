"""The SQL of a patient's health profile."""

from functools import partial
from typing import Any
from uuid import UUID

from psycopg2 import sql

from shared.audit import audited
from shared.errors import PatientNotFound, UnknownReference
from shared.postgres import Executor, NamedErrors, Row, assignments, named_errors
from shared.record import HEALTH_PROFILE, HealthProfile

from .db import IN_SCOPE

_CONSTRAINTS: NamedErrors = {"fk_health_profiles_blood_type": partial(UnknownReference, "blood_type_id")}

GET_HEALTH_PROFILE = "SELECT " + HEALTH_PROFILE + " FROM patients p WHERE p.id = %(patient_id)s"

FIND_HEALTH_PROFILE = audited(
    "SELECT p.id AS patient_id, " + HEALTH_PROFILE + " FROM patients p WHERE p.id = %(patient_id)s AND " + IN_SCOPE
)

# A patient that was not created here may have no profile yet: nothing is known of it then.
_UNKNOWN: Row = dict.fromkeys(HealthProfile.model_fields)

SET_HEALTH_PROFILE = sql.SQL("""
    INSERT INTO health_profiles (patient_id, {columns}) VALUES (%(patient_id)s, {values})
    ON CONFLICT (patient_id) DO UPDATE SET {assignments}
""")


async def get_health_profile(executor: Executor, patient_id: UUID) -> Row:
    """The health profile of a patient, for its change: that is what is audited. Raises PatientNotFound."""
    return _found(await executor.fetch_one(GET_HEALTH_PROFILE, {"patient_id": patient_id}))


async def find_health_profile(
    executor: Executor, patient_id: UUID, scope: dict[str, Any], event: dict[str, Any]
) -> Row:
    """The health profile of a patient within the caller's scope, audited as `event`. Raises PatientNotFound."""
    return _found(await executor.fetch_one(FIND_HEALTH_PROFILE, {"patient_id": patient_id, **scope, **event}))


async def set_health_profile(executor: Executor, patient_id: UUID, changes: dict[str, Any]) -> None:
    """Change columns of a patient's health profile. Raises UnknownReference."""
    statement = SET_HEALTH_PROFILE.format(
        columns=sql.SQL(", ").join(map(sql.Identifier, changes)),
        values=sql.SQL(", ").join(map(sql.Placeholder, changes)),
        assignments=assignments(changes),
    )
    with named_errors(_CONSTRAINTS):
        await executor.execute(statement, {**changes, "patient_id": patient_id})


def _found(row: Row | None) -> Row:
    if row is None:
        raise PatientNotFound
    return row["health_profile"] or _UNKNOWN
