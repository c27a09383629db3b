"""From which device a session was opened, as far as its user agent tells."""

import hashlib

from pydantic import BaseModel


class Device(BaseModel):
    """A device; null is unknown."""

    ip: str | None
    user_agent: str | None
    browser: str | None
    os: str | None
    device_type: str | None
    fingerprint: str


def describe(ip: str | None, user_agent: str | None) -> Device:
    """Parse a user agent (Matomo's Device Detector; the first call takes seconds: it compiles its patterns).

    The fingerprint is the same for the same browser at the same address, and tells neither.
    """
    from device_detector import DeviceDetector  # 8 MB that a service which is never asked for sessions does without

    parsed = DeviceDetector(user_agent or "").parse()
    fingerprint = hashlib.sha256(f"{ip}\0{user_agent}".encode()).hexdigest()[:16]
    return Device(
        ip=ip,
        user_agent=user_agent,
        browser=parsed.client_name() or None,
        os=parsed.os_name() or None,
        device_type=parsed.device_type() or None,
        fingerprint=fingerprint,
    )
