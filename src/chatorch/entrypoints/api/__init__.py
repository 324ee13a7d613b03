"""Our own HTTP API, as the README tells it."""
