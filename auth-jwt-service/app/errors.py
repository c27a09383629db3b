"""The auth service's named errors."""

from shared.errors import NotFound, Problem


class AccountNotFound(NotFound):
    code = "account_not_found"
    es = "No se encontró la cuenta."
    en = "The account was not found."


class SessionNotFound(NotFound):
    code = "session_not_found"
    es = "No se encontró la sesión."
    en = "The session was not found."


class InvalidActivation(Problem):
    status, code = 401, "invalid_activation"
    es = "El enlace de activación no es válido, venció o ya se usó. Pida otro a su clínica."
    en = "The activation link is not valid, has expired or has been used. Please ask your clinic for another."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="predicthealth", error="invalid_token"'})


class AccountActive(Problem):
    status, code = 409, "account_active"
    es = "La cuenta ya tiene contraseña."
    en = "The account has a password already."


class OwnAccount(Problem):
    status, code = 409, "own_account"
    es = "No puede deshabilitar su propia cuenta; pídalo a otro administrador."
    en = "You cannot disable your own account; ask another administrator."
