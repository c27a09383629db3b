"""A patient as a whole: the dashboard, the clinical record, the care team and the profile."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field

from shared.appointments import Appointment
from shared.caller import Caller
from shared.context import current
from shared.postgres import Row
from shared.record import RiskLevel
from shared.resources import ClientResources

from . import indicators, overview_db, scores
from .activity import Activity, describe
from .contacts import AddressContact, EmailContact, PhoneContact
from .domain import found, today
from .indicators import BmiClass
from .scope import reading, scope_of
from .scores import CardiovascularRiskDetail, HealthScoreDetail


class DashboardPatient(BaseModel):
    """Whose dashboard it is, and what is known of its life; height and weight are the newest on record."""

    first_name: str
    last_name: str
    date_of_birth: date
    is_smoker: bool | None
    consumes_alcohol: bool | None
    physical_activity_minutes_weekly: int | None
    height_cm: float | None
    weight_kg: float | None


class DashboardMedication(BaseModel):
    """A medication that the patient takes now."""

    name: str
    dosage: str | None
    frequency: str | None


class DashboardCondition(BaseModel):
    """A condition that lasts."""

    name: str


class Dashboard(BaseModel):
    """A patient at a glance, its scores as of today."""

    patient: DashboardPatient
    health_score: int | None = Field(description="Life's Essential 8 over the components with data, 0-100.")
    health_score_detail: HealthScoreDetail
    cardiovascular_risk: CardiovascularRiskDetail
    age: int
    bmi: float | None = Field(description="kg/m², one decimal.")
    bmi_classification: str | None = Field(description="The label of `bmi_class`, in the language of the request.")
    bmi_class: BmiClass | None = Field(description="WHO's class for adults; null under 20 years.")
    risk_level: RiskLevel = Field(description="From the exact health score; `unknown` without one.")
    medications: list[DashboardMedication]
    conditions: list[DashboardCondition]
    appointments: list[Appointment] = Field(description="The next five that are scheduled or confirmed.")
    recent_activity: list[Activity] = Field(description="The last ten events, newest first.")


class CareTeamDoctor(BaseModel):
    """The patient's doctor."""

    id: UUID
    first_name: str
    last_name: str
    years_experience: int | None
    specialty: str | None
    email: str | None
    phone: str | None


class CareTeamAddress(BaseModel):
    """Where the institution is."""

    street: str
    city: str
    region: str | None
    country: str | None
    postal_code: str | None


class CareTeamInstitution(BaseModel):
    """The patient's institution."""

    id: UUID
    name: str
    type: str
    website: str | None
    email: str | None
    phone: str | None
    address: CareTeamAddress | None


class CareTeam(BaseModel):
    """Who cares for a patient."""

    doctor: CareTeamDoctor | None
    institution: CareTeamInstitution | None


class PersonalInfo(BaseModel):
    """Who the patient is."""

    first_name: str
    last_name: str
    date_of_birth: date
    primary_email: str | None


class Profile(BaseModel):
    """A patient and how to reach it; of each kind of contact the primary first."""

    personal_info: PersonalInfo
    emails: list[EmailContact]
    phones: list[PhoneContact]
    addresses: list[AddressContact]


async def get_dashboard(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """A patient at a glance; recorded in the audit trail. Raises PatientNotFound."""
    row = found(
        await overview_db.find_dashboard(res.db, patient_id, scope_of(caller), reading(res, caller, "dashboard"))
    )
    day = today()
    age, scored = indicators.age(row["date_of_birth"], day), scores.assess(row["score_inputs"], day)
    bmi = indicators.bmi(scored["height_cm"], scored["weight_kg"])
    bmi_class = indicators.bmi_class(bmi, age)
    label = indicators.bmi_classification(bmi_class, current().language)
    computed = {"age": age, "bmi": indicators.rounded(bmi), "bmi_class": bmi_class, "bmi_classification": label}
    activity = describe(row["recent_activity"], current().language)
    return {**row, **scored, "patient": {**row, **scored}, "recent_activity": activity, **computed}


async def get_medical_record(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """A patient's clinical record; recorded in the audit trail. Raises PatientNotFound."""
    event = reading(res, caller, "medical_record")
    return found(await overview_db.find_medical_record(res.db, patient_id, scope_of(caller), event))


async def get_care_team(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """A patient's doctor and institution; recorded in the audit trail. Raises PatientNotFound."""
    return found(
        await overview_db.find_care_team(res.db, patient_id, scope_of(caller), reading(res, caller, "care_team"))
    )


async def get_profile(res: ClientResources, caller: Caller, patient_id: UUID) -> Row:
    """A patient's name and contacts; recorded in the audit trail. Raises PatientNotFound."""
    row = found(await overview_db.find_profile(res.db, patient_id, scope_of(caller), reading(res, caller, "profile")))
    return {**row, "personal_info": row}
