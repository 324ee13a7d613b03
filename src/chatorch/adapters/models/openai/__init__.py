"""What speaks to OpenAI, and to every server that speaks its API."""
