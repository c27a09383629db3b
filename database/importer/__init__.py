"""Loads a directory of CSV files in Synthea's layout into the database: `python -m database.importer DIR`.

    files        → rows, with the file and line that they come from, and what became of them
    entities     → institutions, doctors, patients: each with its account and contacts
    items        → conditions, medications, allergies
    observations → measurements, and who smokes
    lifestyle    → the answers of a questionnaire, for new health profiles
    visits       → encounters as appointments
    records      → all of these of one patient, sorted out to the last of each; health profiles made from them
    spool        → where rows wait, on disk, until all of a patient are read
    loading      → in which order, and what is one transaction
    demo         → three accounts of the sample that one can log in to

What is in the database already stays as it is: a second run adds only what is missing.
"""
