"""`POST /v1/chat/completions`: the client keeps the history and sends all of it each time."""
