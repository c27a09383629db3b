"""The patients' service."""
