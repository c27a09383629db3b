"""The routes of the patients' service."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query, Response

from shared import app as factory
from shared.app import ClientResourcesOf as Res
from shared.appointments import Appointment
from shared.auth import AdminCaller, AdminOrInstitutionCaller, AnyCaller, CallerOf, StaffCaller
from shared.caller import Caller
from shared.errors import PASSWORD_REFUSALS, EmailTaken, Forbidden, InstitutionDeleted, InvalidTransition
from shared.history import StatusChange
from shared.login import LOGIN_REFUSALS, Login, TokenPair, delegate
from shared.openapi import refuses
from shared.pagination import Page, PageQuery
from shared.record import Allergy, Condition, FamilyHistoryEntry, HealthProfile, MedicalRecord, Medication, Observation
from shared.resources import ClientResources
from shared.routes import FleetRoute
from shared.schemas import CatalogueId
from shared.settings import ClientSettings, load

from . import (
    access_log,
    appointments,
    catalogues,
    contacts,
    domain,
    health_profile,
    observations,
    overview,
    record,
    record_db,
    validation,
)
from .errors import (
    AlreadyRecorded,
    AssociationRequired,
    DoctorNotInInstitution,
    LastEmail,
    PossibleDuplicate,
    SlotTaken,
)
from .glossary import GLOSSARY

SERVICE = "service-patients"

router = APIRouter(route_class=FleetRoute)

TermQuery = Annotated[catalogues.TermQuery, Query()]
ProfileWriter = Annotated[Caller, Depends(CallerOf("patient", "doctor", "admin"))]
RecordWriter = Annotated[Caller, Depends(CallerOf("doctor", "admin"))]
ContactWriter = Annotated[Caller, Depends(CallerOf("patient", "institution", "admin"))]
LogReader = Annotated[Caller, Depends(CallerOf("patient", "admin"))]


@router.post("/auth/login", response_model=TokenPair, tags=["auth"])
@refuses(*LOGIN_REFUSALS)
async def login(body: Login, res: Res) -> dict[str, Any]:
    """Log in as a patient; 403 `wrong_user_type` for others."""
    return await delegate(res, body, "patient")


@router.get("/api/v1/patients", response_model=Page[domain.Patient], tags=["patients"])
async def list_patients(
    caller: StaffCaller, res: Res, query: Annotated[domain.PatientQuery, Query()]
) -> Page[dict[str, Any]]:
    """Patients, newest first or by name: all for an admin, else the calling doctor's or institution's own."""
    return await domain.list_patients(res, caller, query)


@router.post("/api/v1/patients", status_code=201, response_model=domain.Patient, tags=["patients"])
@refuses(EmailTaken, PossibleDuplicate, AssociationRequired, DoctorNotInInstitution, *PASSWORD_REFUSALS)
async def create_patient(
    body: domain.NewPatient,
    caller: StaffCaller,
    res: Res,
    response: Response,
    allow_duplicate: Annotated[bool, Query(description="Create it even if there is such a person.")] = False,
) -> dict[str, Any]:
    """Create a patient with its account; a doctor as its own, an institution for itself.

    409 `possible_duplicate` with `candidates`, the ids of the caller's patients with the same name and birth date.
    """
    patient = await domain.create_patient(res, caller, body, allow_duplicate=allow_duplicate)
    response.headers["Location"] = f"/api/v1/patients/{patient['id']}"
    return patient


@router.get("/api/v1/patients/{patient_id}", response_model=domain.Patient, tags=["patients"])
async def get_patient(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient: any for an admin, itself for a patient, its own for a doctor or an institution; else 404."""
    return await domain.get_patient(res, caller, patient_id)


@router.put("/api/v1/patients/{patient_id}", response_model=domain.Patient, tags=["patients"])
@refuses(Forbidden, AssociationRequired, DoctorNotInInstitution)
async def update_patient(patient_id: UUID, body: domain.PatientUpdate, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Change personal fields (null clears, absent stays); `doctor_id`, `institution_id`: admins, its institution."""
    return await domain.update_patient(res, caller, patient_id, body)


@router.delete("/api/v1/patients/{patient_id}", status_code=204, tags=["patients"])
async def delete_patient(patient_id: UUID, caller: AdminOrInstitutionCaller, res: Res) -> None:
    """Hide a patient, disable its login and end its sessions."""
    await domain.delete_patient(res, caller, patient_id)


@router.post("/api/v1/patients/{patient_id}/restore", response_model=domain.Patient, tags=["patients"])
@refuses(InstitutionDeleted)
async def restore_patient(patient_id: UUID, caller: AdminCaller, res: Res) -> dict[str, Any]:
    """Bring a deleted patient back, its login included; 409 `institution_deleted` while its institution is deleted.

    One that is not deleted is answered as it is.
    """
    return await domain.restore_patient(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/dashboard", response_model=overview.Dashboard, tags=["record"])
async def get_dashboard(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient at a glance: scores and what they come from, present medications and conditions, what comes next."""
    return await overview.get_dashboard(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/medical-record", response_model=MedicalRecord, tags=["record"])
async def get_medical_record(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient's clinical record."""
    return await overview.get_medical_record(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/care-team", response_model=overview.CareTeam, tags=["record"])
async def get_care_team(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient's doctor and institution; null for one that it does not have."""
    return await overview.get_care_team(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/profile", response_model=overview.Profile, tags=["record"])
async def get_profile(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient's name and contacts."""
    return await overview.get_profile(res, caller, patient_id)


# The health profile.


@router.get("/api/v1/patients/{patient_id}/health-profile", response_model=HealthProfile, tags=["record"])
async def get_health_profile(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient's health profile alone; null: unknown."""
    return await health_profile.get_health_profile(res, caller, patient_id)


@router.put("/api/v1/patients/{patient_id}/health-profile", response_model=HealthProfile, tags=["record"])
async def update_health_profile(
    patient_id: UUID, body: health_profile.HealthProfileUpdate, caller: ProfileWriter, res: Res
) -> dict[str, Any]:
    """Change any of the health profile, as the patient itself, its doctor or an admin; null: unknown.

    A new `smoking_status` decides a stored `is_smoker`, and the other way round; `never`, `current`: no quit date.
    """
    return await health_profile.update_health_profile(res, caller, patient_id, body)


# The entries of the record.


@router.post("/api/v1/patients/{patient_id}/conditions", status_code=201, response_model=Condition, tags=["record"])
@refuses(AlreadyRecorded)
async def add_condition(
    patient_id: UUID, body: record.NewCondition, caller: RecordWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Record a condition, by `condition_id` or `name`; once per patient."""
    entry = await record.add_entry(res, caller, record_db.CONDITIONS, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/conditions/{entry['id']}"
    return entry


@router.put("/api/v1/patients/{patient_id}/conditions/{entry_id}", response_model=Condition, tags=["record"])
@refuses(AlreadyRecorded)
async def update_condition(
    patient_id: UUID, entry_id: CatalogueId, body: record.ConditionUpdate, caller: RecordWriter, res: Res
) -> dict[str, Any]:
    """Change what is recorded about a condition; null clears, absent stays."""
    return await record.update_entry(res, caller, record_db.CONDITIONS, patient_id, entry_id, body)


@router.delete("/api/v1/patients/{patient_id}/conditions/{entry_id}", status_code=204, tags=["record"])
async def delete_condition(patient_id: UUID, entry_id: CatalogueId, caller: RecordWriter, res: Res) -> None:
    """Remove a condition that does not belong in the record."""
    await record.delete_entry(res, caller, record_db.CONDITIONS, patient_id, entry_id)


@router.post("/api/v1/patients/{patient_id}/medications", status_code=201, response_model=Medication, tags=["record"])
@refuses(AlreadyRecorded)
async def add_medication(
    patient_id: UUID, body: record.NewMedication, caller: RecordWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Record a medication, by `medication_id` or `name`; once per patient."""
    entry = await record.add_entry(res, caller, record_db.MEDICATIONS, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/medications/{entry['id']}"
    return entry


@router.put("/api/v1/patients/{patient_id}/medications/{entry_id}", response_model=Medication, tags=["record"])
@refuses(AlreadyRecorded)
async def update_medication(
    patient_id: UUID, entry_id: CatalogueId, body: record.MedicationUpdate, caller: RecordWriter, res: Res
) -> dict[str, Any]:
    """Change what is recorded about a medication; null clears, absent stays."""
    return await record.update_entry(res, caller, record_db.MEDICATIONS, patient_id, entry_id, body)


@router.delete("/api/v1/patients/{patient_id}/medications/{entry_id}", status_code=204, tags=["record"])
async def delete_medication(patient_id: UUID, entry_id: CatalogueId, caller: RecordWriter, res: Res) -> None:
    """Remove a medication that does not belong in the record."""
    await record.delete_entry(res, caller, record_db.MEDICATIONS, patient_id, entry_id)


@router.post("/api/v1/patients/{patient_id}/allergies", status_code=201, response_model=Allergy, tags=["record"])
@refuses(AlreadyRecorded)
async def add_allergy(
    patient_id: UUID, body: record.NewAllergy, caller: RecordWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Record an allergy, by `allergy_id` or `name`; once per patient."""
    entry = await record.add_entry(res, caller, record_db.ALLERGIES, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/allergies/{entry['id']}"
    return entry


@router.put("/api/v1/patients/{patient_id}/allergies/{entry_id}", response_model=Allergy, tags=["record"])
@refuses(AlreadyRecorded)
async def update_allergy(
    patient_id: UUID, entry_id: CatalogueId, body: record.AllergyUpdate, caller: RecordWriter, res: Res
) -> dict[str, Any]:
    """Change what is recorded about an allergy; null clears, absent stays."""
    return await record.update_entry(res, caller, record_db.ALLERGIES, patient_id, entry_id, body)


@router.delete("/api/v1/patients/{patient_id}/allergies/{entry_id}", status_code=204, tags=["record"])
async def delete_allergy(patient_id: UUID, entry_id: CatalogueId, caller: RecordWriter, res: Res) -> None:
    """Remove an allergy that does not belong in the record."""
    await record.delete_entry(res, caller, record_db.ALLERGIES, patient_id, entry_id)


@router.post(
    "/api/v1/patients/{patient_id}/family-history", status_code=201, response_model=FamilyHistoryEntry, tags=["record"]
)
@refuses(AlreadyRecorded)
async def add_family_history(
    patient_id: UUID, body: record.NewFamilyHistory, caller: RecordWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Record a relative's condition, by `condition_id` or `name`; once per relative."""
    entry = await record.add_entry(res, caller, record_db.FAMILY_HISTORY, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/family-history/{entry['id']}"
    return entry


@router.put(
    "/api/v1/patients/{patient_id}/family-history/{entry_id}", response_model=FamilyHistoryEntry, tags=["record"]
)
@refuses(AlreadyRecorded)
async def update_family_history(
    patient_id: UUID, entry_id: UUID, body: record.FamilyHistoryUpdate, caller: RecordWriter, res: Res
) -> dict[str, Any]:
    """Change what is recorded about a relative's condition; null clears, absent stays."""
    return await record.update_entry(res, caller, record_db.FAMILY_HISTORY, patient_id, entry_id, body)


@router.delete("/api/v1/patients/{patient_id}/family-history/{entry_id}", status_code=204, tags=["record"])
async def delete_family_history(patient_id: UUID, entry_id: UUID, caller: RecordWriter, res: Res) -> None:
    """Remove a relative's condition that does not belong in the record."""
    await record.delete_entry(res, caller, record_db.FAMILY_HISTORY, patient_id, entry_id)


# Contacts.


@router.post(
    "/api/v1/patients/{patient_id}/emails", status_code=201, response_model=contacts.EmailContact, tags=["contacts"]
)
@refuses(AlreadyRecorded)
async def add_email(
    patient_id: UUID, body: contacts.NewEmail, caller: ContactWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Add an e-mail: the first is primary, and a new primary one takes the present one's place. The login stays."""
    contact = await contacts.add_email(res, caller, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/emails/{contact['id']}"
    return contact


@router.delete("/api/v1/patients/{patient_id}/emails/{contact_id}", status_code=204, tags=["contacts"])
@refuses(LastEmail)
async def delete_email(patient_id: UUID, contact_id: UUID, caller: ContactWriter, res: Res) -> None:
    """Remove an e-mail; the oldest other one follows a primary one; 409 `last_email` for the only one."""
    await contacts.delete_email(res, caller, patient_id, contact_id)


@router.post(
    "/api/v1/patients/{patient_id}/phones", status_code=201, response_model=contacts.PhoneContact, tags=["contacts"]
)
@refuses(AlreadyRecorded)
async def add_phone(
    patient_id: UUID, body: contacts.NewPhone, caller: ContactWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Add a phone: the first is primary, and a new primary one takes the place of the present."""
    contact = await contacts.add_phone(res, caller, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/phones/{contact['id']}"
    return contact


@router.delete("/api/v1/patients/{patient_id}/phones/{contact_id}", status_code=204, tags=["contacts"])
async def delete_phone(patient_id: UUID, contact_id: UUID, caller: ContactWriter, res: Res) -> None:
    """Remove a phone; the oldest other one follows a primary one."""
    await contacts.delete_phone(res, caller, patient_id, contact_id)


@router.post(
    "/api/v1/patients/{patient_id}/addresses",
    status_code=201,
    response_model=contacts.AddressContact,
    tags=["contacts"],
)
@refuses(AlreadyRecorded)
async def add_address(
    patient_id: UUID, body: contacts.NewAddress, caller: ContactWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Add an address: the first is primary, and a new primary one takes the place of the present."""
    contact = await contacts.add_address(res, caller, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/addresses/{contact['id']}"
    return contact


@router.delete("/api/v1/patients/{patient_id}/addresses/{contact_id}", status_code=204, tags=["contacts"])
async def delete_address(patient_id: UUID, contact_id: UUID, caller: ContactWriter, res: Res) -> None:
    """Remove an address; the oldest other one follows a primary one."""
    await contacts.delete_address(res, caller, patient_id, contact_id)


# The access log.


@router.get("/api/v1/patients/{patient_id}/access-log", response_model=Page[access_log.Access], tags=["record"])
async def list_accesses(
    patient_id: UUID, caller: LogReader, res: Res, query: Annotated[PageQuery, Query()]
) -> Page[dict[str, Any]]:
    """Who saw or changed the patient's data, newest first; for the patient itself and admins."""
    return await access_log.list_accesses(res, caller, patient_id, query)


# Catalogues.


# Observations.

OBSERVATIONS = "/api/v1/patients/{patient_id}/observations"


@router.get(OBSERVATIONS, response_model=Page[Observation], tags=["observations"])
async def list_observations(
    patient_id: UUID, caller: AnyCaller, res: Res, query: Annotated[observations.ObservationQuery, Query()]
) -> Page[dict[str, Any]]:
    """A patient's observations, newest `effective_at` first."""
    return await observations.list_observations(res, caller, patient_id, query)


@router.post(
    OBSERVATIONS, status_code=201, response_model=Observation | observations.Observations, tags=["observations"]
)
async def record_observations(
    patient_id: UUID, body: observations.OneOrMany, caller: ProfileWriter, res: Res, response: Response
) -> dict[str, Any]:
    """Record one observation, or `{"observations": [...]}`: up to 1,000, all of them or none."""
    recorded, location = await observations.record(res, caller, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/observations{location}"
    return recorded


@router.get(OBSERVATIONS + "/trends", response_model=observations.Trends, tags=["observations"])
async def get_trends(
    patient_id: UUID, caller: AnyCaller, res: Res, query: Annotated[observations.TrendQuery, Query()]
) -> dict[str, Any]:
    """Count, least, mean, greatest and last value of one code for each day, month or year (in UTC), oldest first."""
    return await observations.get_trends(res, caller, patient_id, query)


@router.get(OBSERVATIONS + "/{observation_id}", response_model=Observation, tags=["observations"])
async def get_observation(patient_id: UUID, observation_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """One observation."""
    return await observations.get_observation(res, caller, patient_id, observation_id)


# The validation workflow.


@router.post("/api/v1/patients/{patient_id}/validation", response_model=domain.Patient, tags=["validation"])
@refuses(InvalidTransition)
async def validate_patient(patient_id: UUID, body: validation.NewStep, caller: StaffCaller, res: Res) -> dict[str, Any]:
    """Make the next step: its doctor the first, its institution the second, an admin the third, or back to `pending`.

    A step whose actor the patient does not have is skipped. 409 `invalid_transition` names the status that may follow.
    """
    return await validation.validate_patient(res, caller, patient_id, body)


@router.get("/api/v1/patients/{patient_id}/validation", response_model=Page[StatusChange], tags=["validation"])
async def list_validation_steps(
    patient_id: UUID, caller: AnyCaller, res: Res, query: Annotated[PageQuery, Query()]
) -> Page[dict[str, Any]]:
    """The steps so far, newest first."""
    return await validation.list_steps(res, caller, patient_id, query)


# Appointments.

APPOINTMENTS = "/api/v1/patients/{patient_id}/appointments"


@router.get(APPOINTMENTS, response_model=Page[Appointment], tags=["appointments"])
async def list_appointments(
    patient_id: UUID, caller: AnyCaller, res: Res, query: Annotated[appointments.AppointmentQuery, Query()]
) -> Page[dict[str, Any]]:
    """A patient's appointments, by start."""
    return await appointments.list_appointments(res, caller, patient_id, query)


@router.post(APPOINTMENTS, status_code=201, response_model=Appointment, tags=["appointments"])
@refuses(SlotTaken)
async def make_appointment(
    patient_id: UUID, body: appointments.NewAppointment, caller: AnyCaller, res: Res, response: Response
) -> dict[str, Any]:
    """Make an appointment with the patient's doctor; 409 `slot_taken` when the doctor has another one then."""
    appointment = await appointments.make_appointment(res, caller, patient_id, body)
    response.headers["Location"] = f"/api/v1/patients/{patient_id}/appointments/{appointment['id']}"
    return appointment


@router.get(APPOINTMENTS + "/{appointment_id}", response_model=Appointment, tags=["appointments"])
async def get_appointment(patient_id: UUID, appointment_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """One appointment."""
    return await appointments.get_appointment(res, caller, patient_id, appointment_id)


@router.patch(APPOINTMENTS + "/{appointment_id}", response_model=Appointment, tags=["appointments"])
@refuses(InvalidTransition, SlotTaken)
async def move_appointment(
    patient_id: UUID, appointment_id: UUID, body: appointments.AppointmentUpdate, caller: AnyCaller, res: Res
) -> dict[str, Any]:
    """Confirm, complete or cancel an appointment, or note that the patient did not come; a cancelled slot is free."""
    return await appointments.move_appointment(res, caller, patient_id, appointment_id, body)


@router.get("/api/v1/blood-types", response_model=catalogues.Entries, tags=["catalogues"])
async def list_blood_types(caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Every blood type."""
    return await catalogues.list_blood_types(res)


@router.get("/api/v1/sexes", response_model=catalogues.Sexes, tags=["catalogues"])
async def list_sexes(caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Every sex."""
    return await catalogues.list_sexes(res)


@router.get("/api/v1/genders", response_model=catalogues.Entries, tags=["catalogues"])
async def list_genders(caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Every gender."""
    return await catalogues.list_genders(res)


@router.get("/api/v1/medical-conditions", response_model=catalogues.Terms, tags=["catalogues"])
async def list_medical_conditions(caller: AnyCaller, res: Res, query: TermQuery) -> dict[str, Any]:
    """The known conditions, by name."""
    return await catalogues.list_terms(res, "medical_conditions", query)


@router.get("/api/v1/medications", response_model=catalogues.Terms, tags=["catalogues"])
async def list_medications(caller: AnyCaller, res: Res, query: TermQuery) -> dict[str, Any]:
    """The known medications, by name."""
    return await catalogues.list_terms(res, "medications", query)


@router.get("/api/v1/allergies", response_model=catalogues.Terms, tags=["catalogues"])
async def list_allergies(caller: AnyCaller, res: Res, query: TermQuery) -> dict[str, Any]:
    """The known allergies, by name."""
    return await catalogues.list_terms(res, "allergies", query)


def create_app(settings: ClientSettings) -> FastAPI:
    """The patients' service."""
    return factory.create(settings, SERVICE, "PredictHealth · patients", router, ClientResources.open, GLOSSARY)


app = create_app(load(ClientSettings))

if __name__ == "__main__":
    factory.serve("app.main:app", port=8004)
