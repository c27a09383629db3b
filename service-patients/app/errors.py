"""The patients' named errors."""

from typing import ClassVar

from shared.errors import FieldError, FieldRejected, Problem


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
