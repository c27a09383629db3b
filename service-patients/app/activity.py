"""What happened lately with a patient, in words."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from shared.postgres import Row

_SENTENCES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("observation", "recorded"): ("Medición: {subject}", "Measured: {subject}"),
    ("condition", "recorded"): ("Padecimiento registrado: {subject}", "Condition recorded: {subject}"),
    ("medication", "recorded"): ("Medicamento registrado: {subject}", "Medication recorded: {subject}"),
    ("allergy", "recorded"): ("Alergia registrada: {subject}", "Allergy recorded: {subject}"),
    ("appointment", "scheduled"): ("Cita agendada con {subject}", "Appointment made with {subject}"),
    ("appointment", "confirmed"): ("Cita confirmada con {subject}", "Appointment confirmed with {subject}"),
    ("appointment", "completed"): ("Cita con {subject}", "Appointment with {subject}"),
    ("appointment", "cancelled"): ("Cita cancelada con {subject}", "Appointment cancelled with {subject}"),
    ("appointment", "no_show"): ("No acudió a la cita con {subject}", "Missed the appointment with {subject}"),
    ("validation", "pending"): ("Validación reiniciada", "Validation started again"),
    ("validation", "validated_by_doctor"): ("Validado por su médico", "Validated by the doctor"),
    ("validation", "validated_by_institution"): ("Validado por su institución", "Validated by the institution"),
    ("validation", "full_access"): ("Validación completa: acceso total", "Validation complete: full access"),
}


class Activity(BaseModel):
    """Something that happened; `description` is for people, in the language of the request."""

    kind: Literal["observation", "condition", "medication", "allergy", "appointment", "validation"]
    description: str
    occurred_at: datetime


def describe(events: Iterable[Row], language: str) -> list[dict[str, Any]]:
    """The events of `activity_db.RECENT_ACTIVITY`, each with its `description` in `es` or `en`."""
    return [
        {**event, "description": _SENTENCES[event["kind"], event["state"]][language == "en"].format(**event)}
        for event in events
    ]
