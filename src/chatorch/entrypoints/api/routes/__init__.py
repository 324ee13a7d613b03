"""Routes, one file a topic."""
