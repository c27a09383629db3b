"""What at least two of the four services use: one noun per module, nothing opened at import."""
