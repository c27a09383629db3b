"""The routes of the patients' service."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Response

from shared import app as factory
from shared.app import ClientResourcesOf as Res
from shared.auth import AdminOrInstitutionCaller, AnyCaller, StaffCaller
from shared.login import Login, TokenPair, delegate
from shared.pagination import Page
from shared.record import MedicalRecord
from shared.resources import ClientResources
from shared.routes import FleetRoute
from shared.settings import ClientSettings, load

from . import catalogues, domain

SERVICE = "service-patients"

router = APIRouter(route_class=FleetRoute)

TermQuery = Annotated[catalogues.TermQuery, Query()]


@router.post("/auth/login", response_model=TokenPair, tags=["auth"])
async def login(body: Login, res: Res) -> dict[str, Any]:
    """Log in as a patient; 403 `wrong_user_type` for others."""
    return await delegate(res, body, "patient")


@router.get("/api/v1/patients", response_model=Page[domain.Patient], tags=["patients"])
async def list_patients(
    caller: StaffCaller, res: Res, query: Annotated[domain.PatientQuery, Query()]
) -> Page[dict[str, Any]]:
    """Patients, newest first: all for an admin, else the calling doctor's or institution's own."""
    return await domain.list_patients(res, caller, query)


@router.post("/api/v1/patients", status_code=201, response_model=domain.Patient, tags=["patients"])
async def create_patient(body: domain.NewPatient, caller: StaffCaller, res: Res, response: Response) -> dict[str, Any]:
    """Create a patient with its account; a doctor as its own, an institution for itself."""
    patient = await domain.create_patient(res, caller, body)
    response.headers["Location"] = f"/api/v1/patients/{patient['id']}"
    return patient


@router.get("/api/v1/patients/{patient_id}", response_model=domain.Patient, tags=["patients"])
async def get_patient(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient: any for an admin, itself for a patient, its own for a doctor or an institution; else 404."""
    return await domain.get_patient(res, caller, patient_id)


@router.put("/api/v1/patients/{patient_id}", response_model=domain.Patient, tags=["patients"])
async def update_patient(patient_id: UUID, body: domain.PatientUpdate, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Change personal fields (null clears, absent stays); `doctor_id`, `institution_id`: admins, its institution."""
    return await domain.update_patient(res, caller, patient_id, body)


@router.delete("/api/v1/patients/{patient_id}", status_code=204, tags=["patients"])
async def delete_patient(patient_id: UUID, caller: AdminOrInstitutionCaller, res: Res) -> None:
    """Hide a patient, disable its login and end its sessions."""
    await domain.delete_patient(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/dashboard", response_model=domain.Dashboard, tags=["record"])
async def get_dashboard(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient at a glance: body mass index, present medications and conditions."""
    return await domain.get_dashboard(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/medical-record", response_model=MedicalRecord, tags=["record"])
async def get_medical_record(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient's clinical record."""
    return await domain.get_medical_record(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/care-team", response_model=domain.CareTeam, tags=["record"])
async def get_care_team(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient's doctor and institution; null for one that it does not have."""
    return await domain.get_care_team(res, caller, patient_id)


@router.get("/api/v1/patients/{patient_id}/profile", response_model=domain.Profile, tags=["record"])
async def get_profile(patient_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """A patient's name and contacts."""
    return await domain.get_profile(res, caller, patient_id)


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
    return factory.create(settings, SERVICE, "PredictHealth · patients", router, ClientResources.open)


app = create_app(load(ClientSettings))

if __name__ == "__main__":
    factory.serve("app.main:app", port=8004)
