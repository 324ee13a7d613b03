"""The doors: thin."""
