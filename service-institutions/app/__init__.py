"""The institutions' service."""
