"""ChatKit where OpenAI hosts it: sessions for the widget, and the history that is kept there."""
