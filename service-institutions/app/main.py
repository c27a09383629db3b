"""The routes of the institutions' service."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Response

from shared import app as factory
from shared.app import ClientResourcesOf as Res
from shared.auth import AdminCaller, AdminOrThatInstitution, AnyCaller, InstitutionCaller
from shared.errors import PASSWORD_REFUSALS, EmailTaken, InvalidTransition, LicenseTaken
from shared.history import StatusChange
from shared.login import LOGIN_REFUSALS, Login, TokenPair, delegate
from shared.openapi import refuses
from shared.pagination import Page, PageQuery
from shared.resources import ClientResources
from shared.routes import FleetRoute
from shared.schemas import CatalogueId
from shared.settings import ClientSettings, load

from . import accreditations, domain, figures, verification
from .errors import InstitutionInUse
from .glossary import GLOSSARY

SERVICE = "service-institutions"

router = APIRouter(route_class=FleetRoute)

Country = Annotated[domain.CountryCode | None, Query()]


@router.post("/auth/login", response_model=TokenPair, tags=["auth"])
@refuses(*LOGIN_REFUSALS)
async def login(body: Login, res: Res) -> dict[str, Any]:
    """Log in as an institution; 403 `wrong_user_type` for others."""
    return await delegate(res, body, "institution")


# Before /{institution_id}, which would take the words `doctors`, `patients` and `geography` for an id.
@router.get("/api/v1/institutions/doctors", response_model=domain.DoctorList, tags=["own"])
async def list_doctors(caller: InstitutionCaller, res: Res, query: Annotated[PageQuery, Query()]) -> dict[str, Any]:
    """The calling institution's doctors, by last name and first name."""
    return await domain.list_doctors(res, caller, query)


@router.get("/api/v1/institutions/patients", response_model=domain.PatientList, tags=["own"])
async def list_patients(caller: InstitutionCaller, res: Res, query: Annotated[PageQuery, Query()]) -> dict[str, Any]:
    """The calling institution's patients, newest first."""
    return await domain.list_patients(res, caller, query)


@router.get("/api/v1/institutions/geography", response_model=figures.Geography, tags=["figures"])
async def get_geography(caller: AnyCaller, res: Res, country: Country = None) -> dict[str, Any]:
    """Every region, also an empty one, with its institutions and their people; counted at most some seconds ago."""
    return await figures.get_geography(res, country)


@router.get("/api/v1/institutions", response_model=Page[domain.Institution], tags=["institutions"])
async def list_institutions(
    caller: AnyCaller, res: Res, query: Annotated[domain.InstitutionQuery, Query()]
) -> Page[dict[str, Any]]:
    """Institutions, newest first or by name."""
    return await domain.list_institutions(res, query)


@router.post("/api/v1/institutions", status_code=201, response_model=domain.Institution, tags=["institutions"])
@refuses(EmailTaken, LicenseTaken, *PASSWORD_REFUSALS)
async def create_institution(
    body: domain.NewInstitution, caller: AdminCaller, res: Res, response: Response
) -> dict[str, Any]:
    """Create an institution with its account."""
    institution = await domain.create_institution(res, body)
    response.headers["Location"] = f"/api/v1/institutions/{institution['id']}"
    return institution


@router.get("/api/v1/institutions/{institution_id}", response_model=domain.Institution, tags=["institutions"])
async def get_institution(institution_id: UUID, caller: AnyCaller, res: Res) -> dict[str, Any]:
    """An institution."""
    return await domain.get_institution(res, institution_id)


@router.put("/api/v1/institutions/{institution_id}", response_model=domain.Institution, tags=["institutions"])
@refuses(LicenseTaken)
async def update_institution(
    institution_id: UUID, body: domain.InstitutionUpdate, caller: AdminOrThatInstitution, res: Res
) -> dict[str, Any]:
    """Change any of an institution's fields, an institution its own; null clears an optional one, absent ones stay."""
    return await domain.update_institution(res, institution_id, body)


@router.delete("/api/v1/institutions/{institution_id}", status_code=204, tags=["institutions"])
@refuses(InstitutionInUse)
async def delete_institution(institution_id: UUID, caller: AdminCaller, res: Res) -> None:
    """Hide an institution, disable its login and end its sessions; 409 while doctors or patients belong to it."""
    await domain.delete_institution(res, institution_id)


@router.post("/api/v1/institutions/{institution_id}/restore", response_model=domain.Institution, tags=["institutions"])
async def restore_institution(institution_id: UUID, caller: AdminCaller, res: Res) -> dict[str, Any]:
    """Bring a deleted institution back, its login included; one that is not deleted is answered as it is."""
    return await domain.restore_institution(res, caller, institution_id)


@router.post(
    "/api/v1/institutions/{institution_id}/verification", response_model=domain.Institution, tags=["verification"]
)
@refuses(InvalidTransition)
async def verify_institution(
    institution_id: UUID, body: verification.Verification, caller: AdminCaller, res: Res
) -> dict[str, Any]:
    """`pending` → `verified` or `rejected`, `rejected` → `pending`, `verified` → `rejected` (revoked); 409 else."""
    return await verification.verify_institution(res, caller, institution_id, body)


@router.get(
    "/api/v1/institutions/{institution_id}/verification", response_model=Page[StatusChange], tags=["verification"]
)
async def list_verifications(
    institution_id: UUID, caller: AdminCaller, res: Res, query: Annotated[PageQuery, Query()]
) -> Page[dict[str, Any]]:
    """The history of an institution's verification, newest first."""
    return await verification.list_verifications(res, institution_id, query)


@router.get(
    "/api/v1/institutions/{institution_id}/accreditations",
    response_model=Page[accreditations.Accreditation],
    tags=["accreditations"],
)
async def list_accreditations(
    institution_id: UUID, caller: AnyCaller, res: Res, query: Annotated[PageQuery, Query()]
) -> Page[dict[str, Any]]:
    """An institution's accreditations, the last added first."""
    return await accreditations.list_accreditations(res, institution_id, query)


@router.post(
    "/api/v1/institutions/{institution_id}/accreditations",
    status_code=201,
    response_model=accreditations.Accreditation,
    tags=["accreditations"],
)
async def add_accreditation(
    institution_id: UUID, body: accreditations.NewAccreditation, caller: AdminCaller, res: Res, response: Response
) -> dict[str, Any]:
    """Add an accreditation to an institution."""
    accreditation = await accreditations.add_accreditation(res, caller, institution_id, body)
    response.headers["Location"] = f"/api/v1/institutions/{institution_id}/accreditations/{accreditation['id']}"
    return accreditation


@router.get(
    "/api/v1/institutions/{institution_id}/accreditations/{accreditation_id}",
    response_model=accreditations.Accreditation,
    tags=["accreditations"],
)
async def get_accreditation(
    institution_id: UUID, accreditation_id: UUID, caller: AnyCaller, res: Res
) -> dict[str, Any]:
    """An accreditation of an institution."""
    return await accreditations.get_accreditation(res, institution_id, accreditation_id)


@router.get("/api/v1/institutions/{institution_id}/statistics", response_model=figures.Statistics, tags=["figures"])
async def get_statistics(institution_id: UUID, caller: AdminOrThatInstitution, res: Res) -> dict[str, Any]:
    """An institution's doctors and patients in numbers; counted at most some seconds ago."""
    return await figures.get_statistics(res, institution_id)


@router.get("/api/v1/institution-types", response_model=domain.InstitutionTypes, tags=["catalogues"])
async def list_institution_types(caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Every type of institution."""
    return await domain.list_institution_types(res)


@router.get("/api/v1/countries", response_model=domain.Countries, tags=["catalogues"])
async def list_countries(caller: AnyCaller, res: Res) -> dict[str, Any]:
    """Every country, by name."""
    return await domain.list_countries(res)


@router.get("/api/v1/regions", response_model=domain.Regions, tags=["catalogues"])
async def list_regions(caller: AnyCaller, res: Res, country: Country = None) -> dict[str, Any]:
    """The regions of a country, or of all, by name."""
    return await domain.list_regions(res, country)


@router.get("/api/v1/municipalities", response_model=domain.Municipalities, tags=["catalogues"])
async def list_municipalities(
    caller: AnyCaller, res: Res, region_id: Annotated[CatalogueId, Query()]
) -> dict[str, Any]:
    """The municipalities of a region, by name."""
    return await domain.list_municipalities(res, region_id)


def create_app(settings: ClientSettings) -> FastAPI:
    """The institutions' service."""
    return factory.create(settings, SERVICE, "PredictHealth · institutions", router, ClientResources.open, GLOSSARY)


app = create_app(load(ClientSettings))

if __name__ == "__main__":
    factory.serve("app.main:app", port=8002)
