"""The auth service's own words in the OpenAPI document."""

from shared.glossary import Term
from shared.openapi import Glossary

from .errors import AccountNotFound, SessionNotFound

_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

GLOSSARY = Glossary(
    terms={
        "owner_status": Term(
            "How its patient, doctor or institution is; `unavailable`: a suspended or retired doctor."
        ),
        "last_login_at": Term("When it last logged in, in UTC; null: never."),
        "ip": Term("The address that logged in.", "203.0.113.7"),
        "user_agent": Term("What the client called itself.", _AGENT),
        "browser": Term("The browser and its version.", "Firefox 140.0"),
        "os": Term("The operating system.", "GNU/Linux"),
        "device_type": Term("The kind of device.", "desktop"),
        "fingerprint": Term("The same for the same kind of device, whatever its address.", "9f86d081884c7d65"),
        "device": Term("What logged in."),
        "patient_ids": Term("Whose data it was."),
        "outcome": Term("How it ended: `success` or `failure`.", "success"),
        "client_address": Term("Where the request came from.", "203.0.113.7"),
        "Event.id": Term("Its number in the trail.", 4711),
        "Event.detail": Term("More of what was done; never data of a patient.", {"to": "cancelled"}),
        "grant_type": Term("The grant of OAuth 2; there is only this one."),
        "username": Term("The e-mail address.", "ana.lopez@clinica.mx"),
        "success": Term("Always true."),
        "revoked_sessions": Term("How many sessions ended.", 2),
        "current_password": Term("The password up to now.", "un caballo correcto"),
        "new_password": Term("The password from now on: 8 characters to 72 bytes of UTF-8.", "otro caballo correcto"),
        "token": Term("The token of the activation link.", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmVk"),
        "activation_token": Term(
            "Sets the account's first password, once.", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmVk"
        ),
        "Activation.expires_at": Term("Until when the token is good, in UTC."),
        "last_seen_at": Term("When it was last used, in UTC."),
        "expires_at": Term("When it ends at the latest, in UTC, unless it is used before."),
        "is_current": Term("Whether it is the session of this very request."),
        "valid": Term("Whether the token is valid and its session lives."),
        "user": Term("Whose session it is; only of a valid token."),
        "session": Term("The session; only of a valid token."),
        "payload": Term("The token's claims; null when it is not valid.", {"sub": "7d9f1f4e-5f1b"}),
        "Verification.reason": Term("Why it is not valid."),
        "keys": Term("JSON Web Keys (RFC 7517).", [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrf"}]),
    },
    not_found={"user_id": AccountNotFound, "session_id": SessionNotFound},
)
