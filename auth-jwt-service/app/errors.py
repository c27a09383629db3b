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


class OwnAccount(Problem):
    status, code = 409, "own_account"
    es = "No puede deshabilitar su propia cuenta; pídalo a otro administrador."
    en = "You cannot disable your own account; ask another administrator."
