"""The institutions' named errors."""

from shared.errors import FieldRejected, NotFound, Problem


class InstitutionNotFound(NotFound):
    code = "institution_not_found"
    es = "No se encontró la institución."
    en = "The institution was not found."


class InstitutionInUse(Problem):
    status, code = 409, "institution_in_use"
    es = "La institución tiene médicos o pacientes; reasígnelos o elimínelos antes de eliminarla."
    en = "The institution has doctors or patients; reassign or delete them before deleting it."


class AccreditationNotFound(NotFound):
    code = "accreditation_not_found"
    es = "No se encontró la acreditación."
    en = "The accreditation was not found."


class AccreditationEndsBeforeItBegins(FieldRejected):
    field_name = "valid_until"
    es = "La acreditación debe terminar después de su inicio."
    en = "The accreditation must end after it begins."
