"""What Redis does in one step. Times are its own, in milliseconds."""

import hashlib

Argument = str | bytes | int
Command = tuple[Argument, ...]


class Script:
    """One Lua script, called by its digest; the link loads it where Redis does not know it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: list[str], *arguments: Argument) -> Command:
        return ("EVALSHA", self._digest, len(keys), *keys, *arguments)


NOW_IS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
"""For the begin of a script that needs to know what time it is: `now`."""
