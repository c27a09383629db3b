"""What a health profile says about smoking, in three fields that may not contradict one another."""

from collections.abc import Mapping
from typing import Any

from .errors import SmokingContradiction

# What a status says of `is_smoker`; of someone who uses a nicotine device it says nothing.
_IS_SMOKER = {"never": False, "former": False, "current": True}
_WITHOUT_QUIT_DATE = ("never", "current")


def refuse_contradictions(profile: Mapping[str, Any], path: str = "") -> None:
    """Raise SmokingContradiction for `is_smoker` or `quit_date` against the status; `path` is where the fields are."""
    status, is_smoker = profile.get("smoking_status"), profile.get("is_smoker")
    if is_smoker is not None and _IS_SMOKER.get(status or "", is_smoker) != is_smoker:
        raise SmokingContradiction(path + "is_smoker")
    if profile.get("quit_date") is not None and status in _WITHOUT_QUIT_DATE:
        raise SmokingContradiction(path + "quit_date")


def settle(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes`, and what follows from them: the new word counts, and what was stored against it gives way.

    A new status decides `is_smoker`. A new `is_smoker` that goes against the status makes it `current`, or leaves it
    unknown: never, or no longer. Who never smoked or smokes now has no quit date. Raises SmokingContradiction for a
    change against another one, and for a quit date that goes against what is known.
    """
    refuse_contradictions(changes)
    settled = dict(changes)
    known = {**stored, **changes}
    implied = _IS_SMOKER.get(known.get("smoking_status") or "")
    if implied is not None and known.get("is_smoker") not in (None, implied):
        if changes.get("smoking_status") is not None:
            settled["is_smoker"] = implied
        else:
            settled["smoking_status"] = "current" if known["is_smoker"] else None
    known |= settled
    if known.get("quit_date") is not None and known.get("smoking_status") in _WITHOUT_QUIT_DATE:
        if changes.get("quit_date") is not None:
            raise SmokingContradiction("quit_date")
        settled["quit_date"] = None
    return settled
