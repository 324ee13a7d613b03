"""OpenAI's Responses: a response is a run."""
