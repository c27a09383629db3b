"""The patients' named errors."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from shared.errors import FieldError, FieldRejected, NotFound, Problem, ValidationFailed


class PossibleDuplicate(Problem):
    """Patients whom the caller may see have the same name and birth date: `candidates` are their ids."""

    status, code = 409, "possible_duplicate"
    es = "Ya hay un paciente con ese nombre y fecha de nacimiento. Revíselo, o créelo con allow_duplicate=true."
    en = "There is a patient with that name and birth date. Look at it, or create yours with allow_duplicate=true."
    example_members: ClassVar = {"candidates": ["7d9f1f4e-5f1b-4a7e-9a57-0d6f9a1c2b3e"]}

    def __init__(self, candidates: Sequence[UUID]) -> None:
        super().__init__(members={"candidates": [str(candidate) for candidate in candidates]})


class AssociationRequired(Problem):
    status, code = 422, "association_required"
    es = "El paciente debe tener un médico, una institución o ambos."
    en = "The patient must have a doctor, an institution or both."

    def __init__(self) -> None:
        fields = ("doctor_id", "institution_id")
        super().__init__(errors=[FieldError(field, self.code, self.es, self.en) for field in fields])


class DoctorNotInInstitution(FieldRejected):
    code, field_name = "doctor_not_in_institution", "doctor_id"
    es = "El médico no pertenece a la institución del paciente."
    en = "The doctor does not belong to the patient's institution."


class EmergencyContactIncomplete(Problem):
    status, code = 422, "validation_failed"
    es = "El contacto de emergencia lleva nombre y teléfono, o ninguno de los dos."
    en = "An emergency contact has a name and a phone, or neither."
    fields: ClassVar = ("emergency_contact_name", "emergency_contact_phone")

    def __init__(self) -> None:
        super().__init__(errors=[FieldError(field, "incomplete", self.es, self.en) for field in self.fields])


class BeforeBirth(ValidationFailed):
    """A date of the record that lies before the patient's birth."""

    def __init__(self, field: str) -> None:
        es, en = "Es anterior al nacimiento del paciente.", "Is before the patient's birth."
        super().__init__(FieldError(field, "before_birth", es, en))


class BornAfterRecord(ValidationFailed):
    """A date of birth that is later than a date of the record."""

    def __init__(self) -> None:
        es, en = "El expediente tiene fechas anteriores.", "The record has dates before it."
        super().__init__(FieldError("date_of_birth", "before_birth", es, en))


class AbatementBeforeDiagnosis(ValidationFailed):
    """A condition that ended before it was diagnosed."""

    def __init__(self) -> None:
        es, en = "Es anterior al diagnóstico.", "Is before the diagnosis."
        super().__init__(FieldError("abatement_date", "before_diagnosis", es, en))


class SmokingContradiction(ValidationFailed):
    """What a health profile says in one field about smoking contradicts another."""

    def __init__(self, field: str) -> None:
        es, en = "Contradice lo que se indica en smoking_status.", "Contradicts what smoking_status says."
        super().__init__(FieldError(field, "contradictory", es, en))


class ItemNotNamed(ValidationFailed):
    """An entry of the record without an item of the catalogue, or with one by its id and one by its name."""

    def __init__(self, field: str) -> None:
        es, en = f"Indique {field} o name, y solo uno de los dos.", f"Give {field} or name, and only one of them."
        super().__init__(*(FieldError(name, "exactly_one", es, en) for name in (field, "name")))


class EntryNotFound(NotFound):
    code = "entry_not_found"
    es = "El expediente del paciente no tiene ese registro."
    en = "The patient's record has no such entry."


class ContactNotFound(NotFound):
    code = "contact_not_found"
    es = "El paciente no tiene ese contacto."
    en = "The patient has no such contact."


class AlreadyRecorded(Problem):
    status, code = 409, "already_recorded"
    es = "Ya está registrado para este paciente."
    en = "It is already recorded for this patient."


class LastEmail(Problem):
    status, code = 409, "last_email"
    es = "Es el único correo del paciente: registre otro antes de eliminarlo."
    en = "It is the patient's only e-mail: add another one before you delete it."


class ObservationNotFound(NotFound):
    code = "observation_not_found"
    es = "No se encontró la observación."
    en = "The observation was not found."


class NoteRequired(FieldRejected):
    field_name = "note"
    es = "Explique en una nota por qué se regresa al paciente a pendiente."
    en = "Please explain in a note why the patient goes back to pending."


class AppointmentNotFound(NotFound):
    code = "appointment_not_found"
    es = "No se encontró la cita."
    en = "The appointment was not found."


class SlotTaken(Problem):
    status, code = 409, "slot_taken"
    es = "El médico ya tiene una cita en ese horario. Elija otro."
    en = "The doctor already has an appointment at that time. Please choose another."


class AppointmentInThePast(FieldRejected):
    field_name = "starts_at"
    es = "No puede estar en el pasado."
    en = "Cannot be in the past."


class EndRejected(FieldRejected):
    field_name = "ends_at"
    es = "Debe ser de 5 a 480 minutos enteros después del inicio, igual que la duración si se indica."
    en = "Must be 5 to 480 whole minutes after the start, the same as the duration if that is given."


class NotItsDoctor(FieldRejected):
    field_name = "doctor_id"
    es = "Debe ser el médico del paciente."
    en = "Must be the patient's doctor."


class NoDoctor(FieldRejected):
    field_name = "doctor_id"
    es = "El paciente no tiene un médico en activo con quien agendar."
    en = "The patient has no active doctor to make an appointment with."
