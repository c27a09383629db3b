"""The doctors' own words in the OpenAPI document."""

from shared.errors import PatientNotFound
from shared.glossary import Term
from shared.openapi import Glossary

from .errors import DoctorNotFound

GLOSSARY = Glossary(
    terms={
        "total_patients": Term("The doctor's active patients.", 42),
        "today_appointments": Term("Today's appointments, in the institution's time zone, without cancelled ones.", 6),
        "pending_reviews": Term("The doctor's patients whose validation is `pending`.", 3),
        "license_status": Term("What became of the licence's verification."),
        "specialty_id": Term("The specialty's id, of `/api/v1/specialties`.", "d350a563-e9cc-5441-ad3a-01873a66e59e"),
        "Specialty.name": Term("The specialty's name.", "Cardiología"),
        "Specialty.category": Term("The field of medicine that it belongs to.", "Medicina interna"),
        "DoctorStatusChange.field": Term("Which status changed."),
        "Institution.name": Term("The institution's name.", "Clínica del Valle"),
        "institution_name": Term("The institution's name.", "Clínica del Valle"),
        "patient_count": Term("How many patients match, on all pages.", 42),
        "PatientList.patients": Term("The patients of this page."),
        "patient_info": Term("Who the patient is."),
        "total": Term("All doctors.", 12),
        "by_specialty": Term("By specialty, most doctors first."),
        "by_status": Term("By professional status."),
        "average_fee": Term("Mean price of a consultation, two decimals, in the currency of the institution.", 780.25),
        "average_experience": Term("Mean experience in years, two decimals.", 9.75),
        "active": Term("Active doctors.", 10),
        "suspended": Term("Suspended doctors.", 1),
        "retired": Term("Retired doctors.", 1),
        "min_experience": Term("At least so many years of experience.", 5),
        "max_fee": Term("At most this price of a consultation.", 900),
        "date": Term("The day, in the institution's time zone."),
    },
    not_found={"doctor_id": DoctorNotFound, "patient_id": PatientNotFound},
)
