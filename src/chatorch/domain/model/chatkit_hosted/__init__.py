"""ChatKit where OpenAI hosts it: sessions, and the history that is kept there."""
