"""Speaking HTTP to any provider: the way there, deadlines, the bytes of an answer, and what its failures mean."""
