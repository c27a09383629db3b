"""The routes of the doctors' service."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Response

from shared import app as factory
from shared.app import ClientResourcesOf as Res
from shared.appointments import Appointment
from shared.auth import AdminCaller, AdminOrInstitutionCaller, AnyCaller, DoctorCaller, StaffCaller
from shared.errors import PASSWORD_REFUSALS, EmailTaken, InstitutionDeleted, InvalidTransition, LicenseTaken
from shared.login import LOGIN_REFUSALS, Login, TokenPair, delegate
from shared.openapi import refuses
from shared.pagination import Page, PageQuery
from shared.resources import ClientResources
from shared.routes import FleetRoute
from shared.settings import ClientSettings, load

from . import appointments, domain, figures, statuses
from .errors import DoctorHasPatients
from .glossary import GLOSSARY

SERVICE = "service-doctors"

router = APIRouter(route_class=FleetRoute)


@router.post("/auth/login", response_model=TokenPair, tags=["auth"])
@refuses(*LOGIN_REFUSALS)
async def login(body: Login, res: Res) -> dict[str, Any]:
    """Log in as a doctor; 403 `wrong_user_type` for others, `account_unavailable` while suspended or retired."""
    return await delegate(res, body, "doctor")


@router.get("/api/v1/doctors/me/dashboard", response_model=domain.Dashboard, tags=["me"])
async def get_dashboard(caller: DoctorCaller, res: Res) -> dict[str, Any]:
    """The calling doctor's figures: active patients, those still to be reviewed, today's appointments."""
    return await domain.get_dashboard(res, caller)


@router.get("/api/v1/doctors/me/appointments", response_model=Page[Appointment], tags=["me"])
async def list_appointments(
    caller: DoctorCaller, res: Res, query: Annotated[appointments.AppointmentQuery, Query()]
) -> Page[dict[str, Any]]:
    """The calling doctor's appointments with its patients, by start."""
    return await appointments.list_appointments(res, caller, query)


@router.get("/api/v1/doctors/me/profile", response_model=domain.OwnProfile, tags=["me"])
async def get_own_profile(caller: DoctorCaller, res: Res) -> dict[str, Any]:
    """The calling doctor's profile."""
    return await domain.get_own_profile(res, caller)


@router.put("/api/v1/doctors/me/profile", response_model=domain.OwnProfile, tags=["me"])
async def update_own_profile(body: domain.OwnProfileUpdate, caller: DoctorCaller, res: Res) -> dict[str, Any]:
    """Change specialty, experience or fee; null clears, absent stays."""
    return await domain.update_own_profile(res, caller, body)


@router.get("/api/v1/doctors/me/institution", response_model=domain.Institution, tags=["me"])
async def get_institution(caller: DoctorCaller, res: Res) -> dict[str, Any]:
    """The institution that the calling doctor works at."""
    return await domain.get_institution(res, caller)


@router.get("/api/v1/doctors/me/patients", response_model=domain.PatientList, tags=["me"])
async def list_patients(
    caller: DoctorCaller, res: Res, query: Annotated[domain.PatientQuery, Query()]
) -> dict[str, Any]:
    """The calling doctor's patients, by last name and first name."""
    return await domain.list_patients(res, caller, query)


@router.get("/api/v1/doctors/me/patients/{patient_id}/medical-record", response_model=domain.PatientRecord, tags=["me"])
async def get_medical_record(patient_id: UUID, caller: DoctorCaller, res: Res) -> dict[str, Any]:
    """The record of one of the calling doctor's patients; 404 for a patient of another."""
    return await domain.get_medical_record(res, caller, patient_id)


@router.get("/api/v1/doctors", response_model=Page[domain.Doctor], tags=["doctors"])
async def list_doctors(
    caller: StaffCaller, res: Res, query: Annotated[domain.DoctorQuery, Query()]
) -> Page[dict[str, Any]]:
    """Doctors, newest first or by name: all for an admin, else those of the caller's institution."""
    return await domain.list_doctors(res, caller, query)


@router.post("/api/v1/doctors", status_code=201, response_model=domain.Doctor, tags=["doctors"])
@refuses(EmailTaken, LicenseTaken, *PASSWORD_REFUSALS)
async def create_doctor(
    body: domain.NewDoctor, caller: AdminOrInstitutionCaller, res: Res, response: Response
) -> dict[str, Any]:
    """Create a doctor with its account; an institution for itself only."""
    doctor = await domain.create_doctor(res, caller, body)
    response.headers["Location"] = f"/api/v1/doctors/{doctor['id']}"
    return doctor


# Before /{doctor_id}, which would take the word for an id.
@router.get("/api/v1/doctors/statistics", response_model=figures.Statistics, tags=["figures"])
async def get_statistics(caller: AdminOrInstitutionCaller, res: Res) -> dict[str, Any]:
    """Doctors in numbers: all for an admin, its own for an institution; counted at most some seconds ago."""
    return await figures.get_statistics(res, caller)


@router.get("/api/v1/doctors/{doctor_id}", response_model=domain.Doctor, tags=["doctors"])
async def get_doctor(doctor_id: UUID, caller: StaffCaller, res: Res) -> dict[str, Any]:
    """A doctor: any for an admin, its own for an institution, itself for a doctor."""
    return await domain.get_doctor(res, caller, doctor_id)


@router.put("/api/v1/doctors/{doctor_id}", response_model=domain.Doctor, tags=["doctors"])
@refuses(LicenseTaken, DoctorHasPatients)
async def update_doctor(
    doctor_id: UUID, body: domain.DoctorUpdate, caller: AdminOrInstitutionCaller, res: Res
) -> dict[str, Any]:
    """Change any of a doctor's fields; null clears an optional one, absent ones stay."""
    return await domain.update_doctor(res, caller, doctor_id, body)


@router.delete("/api/v1/doctors/{doctor_id}", status_code=204, tags=["doctors"])
async def delete_doctor(doctor_id: UUID, caller: AdminOrInstitutionCaller, res: Res) -> None:
    """Hide a doctor, disable its login and end its sessions."""
    await domain.delete_doctor(res, caller, doctor_id)


@router.post("/api/v1/doctors/{doctor_id}/restore", response_model=domain.Doctor, tags=["doctors"])
@refuses(InstitutionDeleted)
async def restore_doctor(doctor_id: UUID, caller: AdminCaller, res: Res) -> dict[str, Any]:
    """Bring a deleted doctor back, its login included; 409 `institution_deleted` while its institution is deleted.

    One that is not deleted is answered as it is.
    """
    return await domain.restore_doctor(res, caller, doctor_id)


@router.post("/api/v1/doctors/{doctor_id}/professional-status", response_model=domain.Doctor, tags=["statuses"])
@refuses(InvalidTransition)
async def change_professional_status(
    doctor_id: UUID, body: statuses.ProfessionalStep, caller: AdminOrInstitutionCaller, res: Res
) -> dict[str, Any]:
    """`active` ↔ `suspended`, either → `retired`, which is final; 409 `invalid_transition` else.

    Whoever is not active cannot log in, and its sessions end at once.
    """
    return await statuses.change_professional_status(res, caller, doctor_id, body)


@router.post("/api/v1/doctors/{doctor_id}/license-status", response_model=domain.Doctor, tags=["statuses"])
@refuses(InvalidTransition)
async def change_license_status(
    doctor_id: UUID, body: statuses.LicenseStep, caller: AdminCaller, res: Res
) -> dict[str, Any]:
    """`pending` → `verified` ↔ `expired`, any of them → `revoked` → `pending`; 409 `invalid_transition` else."""
    return await statuses.change_license_status(res, caller, doctor_id, body)


@router.get(
    "/api/v1/doctors/{doctor_id}/status-changes", response_model=Page[statuses.DoctorStatusChange], tags=["statuses"]
)
async def list_status_changes(
    doctor_id: UUID, caller: AdminOrInstitutionCaller, res: Res, query: Annotated[PageQuery, Query()]
) -> Page[dict[str, Any]]:
    """The history of a doctor's statuses, newest first."""
    return await statuses.list_changes(res, caller, doctor_id, query)


@router.get("/api/v1/specialties", response_model=domain.Specialties, tags=["catalogues"])
async def list_specialties(caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Every specialty, by category and name."""
    return await domain.list_specialties(res)


def create_app(settings: ClientSettings) -> FastAPI:
    """The doctors' service."""
    return factory.create(settings, SERVICE, "PredictHealth · doctors", router, ClientResources.open, GLOSSARY)


app = create_app(load(ClientSettings))

if __name__ == "__main__":
    factory.serve("app.main:app", port=8000)
