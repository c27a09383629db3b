"""The e-mails, phones and addresses of any entity; exactly one primary of each kind that has any."""

from typing import Any
from uuid import UUID

from .postgres import Executor

INSERT_EMAIL = """
    INSERT INTO emails (entity_type, entity_id, email_address, email_type, is_primary)
    VALUES (%(entity_type)s, %(entity_id)s, %(email_address)s, %(email_type)s, true)
"""

INSERT_PHONE = """
    INSERT INTO phones (entity_type, entity_id, phone_number, phone_type, is_primary)
    VALUES (%(entity_type)s, %(entity_id)s, %(phone_number)s, %(phone_type)s, true)
"""

# A region alone says its country, too.
INSERT_ADDRESS = """
    INSERT INTO addresses (entity_type, entity_id, street_address, neighborhood, city, region_id, country_id,
                           postal_code, latitude, longitude, address_type, is_primary)
    VALUES (%(entity_type)s, %(entity_id)s, %(street_address)s, %(neighborhood)s, %(city)s, %(region_id)s,
            coalesce(%(country_id)s, (SELECT country_id FROM regions WHERE id = %(region_id)s)), %(postal_code)s,
            %(latitude)s, %(longitude)s, %(address_type)s, true)
"""

# The new number may be one that the entity already has, as a further phone: then that one becomes the primary.
DELETE_PRIMARY_PHONE = """
    DELETE FROM phones WHERE entity_id = %(entity_id)s AND (is_primary OR phone_number = %(phone_number)s)
"""

# Without its primary phone, an entity that has others is reached by the oldest of them.
PROMOTE_OLDEST_PHONE = """
    UPDATE phones SET is_primary = true
    WHERE id = (SELECT id FROM phones WHERE entity_id = %(entity_id)s ORDER BY created_at, id LIMIT 1)
"""

DELETE_PRIMARY_ADDRESS = """
    DELETE FROM addresses WHERE entity_id = %(entity_id)s AND is_primary
"""


async def insert_email(executor: Executor, entity_type: str, entity_id: UUID, address: str) -> None:
    """Give a new entity its first e-mail."""
    kind = "personal" if entity_type == "patient" else "work"
    owner = {"entity_type": entity_type, "entity_id": entity_id}
    await executor.execute(INSERT_EMAIL, {**owner, "email_address": address, "email_type": kind})


async def update_primary_phone(executor: Executor, entity_type: str, entity_id: UUID, number: str | None) -> None:
    """Set the primary phone, in place of the one before; None removes that: the oldest other phone becomes primary."""
    owner = {"entity_type": entity_type, "entity_id": entity_id, "phone_number": number}
    await executor.execute(DELETE_PRIMARY_PHONE, owner)
    if number is None:
        await executor.execute(PROMOTE_OLDEST_PHONE, owner)
    else:
        kind = "mobile" if entity_type == "patient" else "work"
        await executor.execute(INSERT_PHONE, {**owner, "phone_type": kind})


async def update_primary_address(
    executor: Executor, entity_type: str, entity_id: UUID, address: dict[str, Any] | None
) -> None:
    """Set the primary address (the columns of INSERT_ADDRESS), in place of the one before; None leaves none."""
    owner = {"entity_type": entity_type, "entity_id": entity_id}
    await executor.execute(DELETE_PRIMARY_ADDRESS, owner)
    if address is not None:
        kind = "home" if entity_type == "patient" else "work"
        await executor.execute(INSERT_ADDRESS, {**owner, "address_type": kind, **address})
