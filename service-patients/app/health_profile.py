"""Changing a patient's health profile."""

from functools import partial
from uuid import UUID

from shared import audit, etag
from shared.caller import Caller
from shared.postgres import Row
from shared.record import HealthProfile
from shared.resources import ClientResources
from shared.schemas import Update

from . import db, health_profile_db, scores, smoking
from .domain import NewHealthProfile, refuse_before_birth
from .scope import reading, scope_of, writing


class HealthProfileUpdate(NewHealthProfile, Update):
    """Any subset of a health profile; null: unknown. What contradicts the new word about smoking gives way to it."""


async def get_health_profile(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """A patient's health profile; recorded in the audit trail. Raises PatientNotFound."""
    event = reading(res, caller, "health_profile")
    return await health_profile_db.find_health_profile(res.db, patient_id, scope_of(caller), event)


async def update_health_profile(
    res: ClientResources, caller: Caller, patient_id: UUID, update: HealthProfileUpdate
) -> Row:
    """Change any of a patient's health profile; the profile after it.

    Raises EmptyUpdate, PatientNotFound, UnknownReference, BeforeBirth, SmokingContradiction.
    """
    changes = update.changes()
    async with res.db.transaction() as tx:
        patient = await db.hold_patient(tx, patient_id, scope_of(caller))
        refuse_before_birth(patient["date_of_birth"], changes)
        await etag.guard(HealthProfile, partial(health_profile_db.get_health_profile, tx, patient_id))
        changes = smoking.settle(await health_profile_db.get_health_profile(tx, patient_id), changes)
        await health_profile_db.set_health_profile(tx, patient_id, changes)
        await scores.refresh(tx, patient_id)
        await audit.record(tx, writing(res, caller, "update", patient_id, "health_profile", fields=sorted(changes)))
        return await health_profile_db.get_health_profile(tx, patient_id)
