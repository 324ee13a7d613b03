"""OpenAI's API below `/v1`, as its own clients speak it, over the runs that are here."""
