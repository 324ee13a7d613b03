"""ChatKit where OpenAI hosts it: opening, renewing and ending sessions, and reading their history."""
