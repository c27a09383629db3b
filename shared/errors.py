"""Named errors that become RFC 9457 problem documents: a code in English, a sentence in Spanish and in English."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

PROBLEM_TYPE = "https://predicthealth.dev/problems/"
# Fields that one answer names: of the smallest, a body of 1 MiB has 90,000.
MOST_ERRORS = 1_000

TITLES = {
    400: ("Solicitud incorrecta", "Bad request"),
    401: ("No autenticado", "Unauthorized"),
    403: ("Prohibido", "Forbidden"),
    404: ("No encontrado", "Not found"),
    405: ("Método no permitido", "Method not allowed"),
    406: ("No aceptable", "Not acceptable"),
    408: ("Tiempo de espera agotado", "Request timeout"),
    409: ("Conflicto", "Conflict"),
    412: ("Precondición fallida", "Precondition failed"),
    413: ("Contenido demasiado grande", "Content too large"),
    415: ("Tipo de contenido no admitido", "Unsupported media type"),
    422: ("Contenido no procesable", "Unprocessable content"),
    429: ("Demasiadas solicitudes", "Too many requests"),
    500: ("Error interno", "Internal error"),
    503: ("Servicio no disponible", "Service unavailable"),
}


@dataclass(frozen=True)
class FieldError:
    """One invalid field of a 422: its path with dots, a code, and a sentence in both languages."""

    field: str
    code: str
    es: str
    en: str


@dataclass(eq=False)
class Problem(Exception):
    """Base of every error that a client may see. `parameters` fill the sentences; they are never values of a client.

    `members` join the document as they are (RFC 9457, section 3.2): what a program needs to go on.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    errors: Sequence[FieldError] = ()
    members: dict[str, Any] = field(default_factory=dict)

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    es: ClassVar[str] = "Ocurrió un error interno. Ya quedó registrado."
    en: ClassVar[str] = "An internal error occurred. It has been recorded."
    example_members: ClassVar[dict[str, Any]] = {}  # what `members` hold, for the OpenAPI document

    def document(self, language: str, instance: str, request_id: str) -> dict[str, Any]:
        """The problem document (RFC 9457) of this error, its `detail` in `language`."""
        title = TITLES[self.status][language == "en"]
        sentence = self.en if language == "en" else self.es
        document = {
            "type": PROBLEM_TYPE + self.code,
            "title": title,
            "status": self.status,
            "detail": sentence.format(**self.parameters),
            "instance": instance,
            "code": self.code,
            "request_id": request_id,
            **self.members,
        }
        if self.status == 422:
            document["errors"] = [
                {"field": e.field, "message": e.en if language == "en" else e.es, "code": e.code} for e in self.errors
            ]
        return document

    def __str__(self) -> str:
        return self.code


class BadRequest(Problem):
    status, code = 400, "bad_request"
    es = "La solicitud no se puede leer."
    en = "The request cannot be read."


class MalformedJson(Problem):
    status, code = 400, "malformed_json"
    es = "El cuerpo de la solicitud no es JSON válido."
    en = "The request body is not valid JSON."


class InvalidCursor(Problem):
    status, code = 400, "invalid_cursor"
    es = "El cursor no fue emitido para esta lista con estos filtros."
    en = "The cursor was not issued for this list with these filters."


class PreflightRefused(Problem):
    """A browser asks whether a page of another origin may make a request that it may not."""

    status, code = 400, "preflight_refused"
    es = "Una página de ese origen no puede hacer esa solicitud con ese método y esos encabezados."
    en = "A page of that origin may not make that request with that method and those headers."

    def __init__(self) -> None:
        super().__init__(headers={"Vary": "Origin"})


class EmptyUpdate(Problem):
    status, code = 400, "empty_update"
    es = "No se indicó ningún campo para actualizar."
    en = "No field to update was given."


class Unauthenticated(Problem):
    """No token, or (`invalid_token=True`) one that is malformed, forged, expired or revoked."""

    status, code = 401, "unauthenticated"
    es = "Se necesita un token de acceso válido. Inicie sesión."
    en = "A valid access token is needed. Please log in."

    def __init__(self, *, invalid_token: bool = False) -> None:
        challenge = 'Bearer realm="predicthealth"' + (', error="invalid_token"' if invalid_token else "")
        super().__init__(headers={"WWW-Authenticate": challenge})


class InvalidCredentials(Problem):
    status, code = 401, "invalid_credentials"
    es = "El correo o la contraseña no son correctos."
    en = "The e-mail or the password is not correct."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="predicthealth"'})


class InvalidRefreshToken(Problem):
    status, code = 401, "invalid_refresh_token"
    es = "El token de renovación no es válido o su sesión ya terminó. Inicie sesión."
    en = "The refresh token is not valid or its session has ended. Please log in."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="predicthealth", error="invalid_token"'})


class RefreshTokenReused(InvalidRefreshToken):
    code = "refresh_token_reused"
    es = "El token de renovación ya se había usado, así que la sesión se cerró por seguridad. Inicie sesión."
    en = "The refresh token had been used before, so the session was ended for safety. Please log in."


class Forbidden(Problem):
    status, code = 403, "forbidden"
    es = "Su cuenta no tiene permiso para hacer esto."
    en = "Your account is not allowed to do this."


class WrongUserType(Problem):
    status, code = 403, "wrong_user_type"
    es = "Esta cuenta no puede entrar por este servicio."
    en = "This account cannot log in through this service."


class WrongPassword(Problem):
    status, code = 403, "wrong_password"
    es = "La contraseña actual no es correcta."
    en = "The current password is not correct."


class AccountDisabled(Problem):
    status, code = 403, "account_disabled"
    es = "La cuenta está deshabilitada. Contacte a su administrador."
    en = "The account is disabled. Please contact your administrator."


class AccountUnavailable(Problem):
    status, code = 403, "account_unavailable"
    es = "La cuenta no está disponible: su titular está suspendido o retirado."
    en = "The account is unavailable: its holder is suspended or retired."


class NotFound(Problem):
    status, code = 404, "not_found"
    es = "No se encontró lo que busca."
    en = "What you are looking for was not found."


class PatientNotFound(NotFound):
    code = "patient_not_found"
    es = "No se encontró al paciente."
    en = "The patient was not found."


class MethodNotAllowed(Problem):
    status, code = 405, "method_not_allowed"
    es = "Este recurso no admite ese método."
    en = "This resource does not support that method."

    @classmethod
    def on(cls, allowed: Sequence[str]) -> "MethodNotAllowed":
        """The refusal of a resource that has the methods `allowed`."""
        return cls(headers={"Allow": ", ".join(allowed)})


class NotAcceptable(Problem):
    status, code = 406, "not_acceptable"
    es = "Este recurso solo se entrega como JSON."
    en = "This resource is served as JSON only."


class RequestTimeout(Problem):
    """The client did not send its body in time; the connection ends with the answer."""

    status, code = 408, "request_timeout"
    es = "La solicitud no llegó completa a tiempo."
    en = "The request did not arrive completely in time."

    def __init__(self) -> None:
        super().__init__(headers={"Connection": "close"})


class EmailTaken(Problem):
    status, code = 409, "email_taken"
    es = "Ya existe una cuenta con ese correo electrónico."
    en = "An account with that e-mail address already exists."


class AccountExists(Problem):
    status, code = 409, "account_exists"
    es = "Esa referencia ya tiene una cuenta."
    en = "That reference already has an account."


class LicenseTaken(Problem):
    status, code = 409, "license_taken"
    es = "Ese número de licencia ya está registrado."
    en = "That licence number is already registered."


class InvalidTransition(Problem):
    """A state change that the workflow forbids; `allowed` are the states that may follow, none after a final one."""

    status, code = 409, "invalid_transition"
    es = "El estado es «{current}» y no admite ese cambio. Puede seguir: {allowed}."
    en = 'The status is "{current}" and does not admit that change. What may follow: {allowed}.'
    example_members: ClassVar = {"current_status": "pending", "allowed": ["verified", "rejected"]}

    def __init__(self, current: str, allowed: Sequence[str]) -> None:
        members = {"current_status": current, "allowed": list(allowed)}
        super().__init__({"current": current, "allowed": ", ".join(allowed) or "–"}, members=members)


class IdempotencyKeyInUse(Problem):
    """The first creation with the key is under way: its answer is there in a moment, or it has failed by then."""

    status, code = 409, "idempotency_key_in_use"
    es = "La primera solicitud con esa clave de idempotencia sigue en curso. Repítala en un momento."
    en = "The first request with that idempotency key is still under way. Please send it again in a moment."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class InstitutionDeleted(Problem):
    status, code = 409, "institution_deleted"
    es = "Su institución está eliminada; restáurela primero."
    en = "The institution it belongs to is deleted; restore that one first."


class PreconditionFailed(Problem):
    status, code = 412, "precondition_failed"
    es = "El recurso ya no es el que usted conoce. Consúltelo de nuevo antes de cambiarlo."
    en = "The resource is no longer as you know it. Please read it again before you change it."


class BodyTooLarge(Problem):
    status, code = 413, "body_too_large"
    es = "El cuerpo de la solicitud supera el tamaño máximo."
    en = "The request body exceeds the maximum size."


class UnsupportedMediaType(Problem):
    status, code = 415, "unsupported_media_type"
    es = "El cuerpo debe enviarse como application/json."
    en = "The body must be sent as application/json."


class ValidationFailed(Problem):
    """A body or a parameter that breaks the rules; `errors` names each field, the first MOST_ERRORS of them."""

    status, code = 422, "validation_failed"
    es = "Hay datos que no son válidos. Revise los campos indicados."
    en = "Some of the data is not valid. Please check the fields named."

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(errors=errors[:MOST_ERRORS])


class FieldRejected(Problem):
    """Base of the 422s with a code of their own: a subclass names the field (unless told another) and the sentence."""

    status, code = 422, "validation_failed"
    field_name: ClassVar[str]

    def __init__(self, field_name: str | None = None, **parameters: Any) -> None:
        error = FieldError(
            field_name or self.field_name, self.code, self.es.format(**parameters), self.en.format(**parameters)
        )
        super().__init__(parameters=parameters, errors=[error])


class PasswordTooShort(FieldRejected):
    code, field_name = "password_too_short", "password"
    es = "La contraseña debe tener al menos {minimum} caracteres."
    en = "The password must have at least {minimum} characters."


class PasswordTooLong(FieldRejected):
    code, field_name = "password_too_long", "password"
    es = "La contraseña no puede pasar de 72 bytes en UTF-8."
    en = "The password cannot exceed 72 bytes of UTF-8."


class PasswordTooCommon(FieldRejected):
    code, field_name = "password_too_common", "password"
    es = "Esa contraseña es demasiado común o fácil de adivinar. Elija otra."
    en = "That password is too common or too easy to guess. Please choose another."


class IdempotencyKeyReused(FieldRejected):
    code, field_name = "idempotency_key_reused", "Idempotency-Key"
    es = "Esa clave de idempotencia ya se usó con otra solicitud."
    en = "That idempotency key has been used with another request."


PASSWORD_REFUSALS = (PasswordTooShort, PasswordTooLong, PasswordTooCommon)


class UnknownReference(FieldRejected):
    """A catalogue id (or the id of another entity) that does not exist."""

    code = "validation_failed"
    es = "No existe un registro con ese identificador."
    en = "There is no record with that identifier."
    field_name = "id"

    def __init__(self, field_name: str) -> None:
        error = FieldError(field_name, "unknown_reference", self.es, self.en)
        Problem.__init__(self, errors=[error])


class TooManyRequests(Problem):
    """Over a rate; `retry_after_seconds` until the next request is served."""

    status, code = 429, "too_many_requests"
    es = "Demasiadas solicitudes. Intente de nuevo en {seconds} segundos."
    en = "Too many requests. Please try again in {seconds} seconds."

    def __init__(self, retry_after_seconds: int = 1, **rate_headers: str) -> None:
        seconds = max(1, retry_after_seconds)
        super().__init__({"seconds": seconds}, {"Retry-After": str(seconds), **rate_headers})


class TooManyAttempts(TooManyRequests):
    code = "too_many_attempts"
    es = "Demasiados intentos de acceso. Espere {seconds} segundos antes de volver a intentar."
    en = "Too many login attempts. Please wait {seconds} seconds before you try again."


class RegionNotInCountry(ValidationFailed):
    """An address whose region and country are both known, but do not belong together."""

    def __init__(self, field_name: str = "region_id") -> None:
        es, en = "La región no pertenece a ese país.", "The region does not lie in that country."
        super().__init__(FieldError(field_name, "region_not_in_country", es, en))


class Unavailable(Problem):
    """Base of the 503s: a dependency can't be reached in time."""

    status, code = 503, "unavailable"
    es = "El servicio no está disponible por el momento. Intente de nuevo en unos segundos."
    en = "The service is unavailable at the moment. Please try again in a few seconds."

    def __init__(self, retry_after_seconds: int = 2) -> None:
        super().__init__(headers={"Retry-After": str(retry_after_seconds)})


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"


class RedisUnavailable(Unavailable):
    code = "sessions_unavailable"


class AuthUnavailable(Unavailable):
    code = "auth_unavailable"


class DeadlinePassed(Unavailable):
    """A request waited too long in all. Whether a write was done is not known: repeat it with its `Idempotency-Key`."""

    code = "deadline_passed"


class Busy(Unavailable):
    """A bounded queue is full: the request was not started."""

    code = "busy"
