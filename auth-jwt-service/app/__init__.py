"""The auth service: accounts, tokens, sessions."""
