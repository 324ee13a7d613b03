"""chatorch: a chat backend in which one run can be watched through any door and nothing is lost."""

__version__ = "0.1.0"
