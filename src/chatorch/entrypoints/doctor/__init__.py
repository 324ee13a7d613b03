"""``chatorch doctor``: looks at all that a service needs, and says of each `ok` or what to do. A file a topic."""
