"""The one error of what cannot be a tool."""


class UnusableTool(ValueError):
    """A function cannot be offered as a tool. The text says which one and why, in a line that is safe to log."""
