"""The doctors' service."""
