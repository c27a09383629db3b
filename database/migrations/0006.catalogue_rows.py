"""The rows of the catalogues, from database/catalogues/*.csv (one file a table, its columns in the first line)."""

from pathlib import Path
from typing import Any

from yoyo import step

__depends__ = {"0003.catalogues"}

CATALOGUES = Path(__file__).parent.parent / "catalogues"
# In the order of their foreign keys.
TABLES = (
    *("countries", "regions", "municipalities", "institution_types", "doctor_specialties", "sexes", "genders"),
    *("blood_types", "medical_conditions", "medications", "allergies", "observation_codes"),
)


def load(connection: Any) -> None:
    """COPY each file into its table."""
    with connection.cursor() as cursor:
        for table in TABLES:
            with (CATALOGUES / f"{table}.csv").open(encoding="utf-8") as file:
                columns = file.readline().strip()
                cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv)", file)


step(load)
