"""The doctors' named errors."""

from shared.errors import NotFound, Problem


class DoctorNotFound(NotFound):
    code = "doctor_not_found"
    es = "No se encontró al médico."
    en = "The doctor was not found."


class DoctorHasPatients(Problem):
    status, code = 409, "doctor_has_patients"
    es = "El médico atiende pacientes de su institución actual; reasígnelos antes de cambiarlo."
    en = "The doctor sees patients of the current institution; reassign them before moving the doctor."
