"""What is asked, called and answered in the turn that is measured, the same for all servers.

Their own environments import this file: it needs nothing but Python.
"""

PIECES = 20
"""Of the answer."""
MODELS = {"burst": f"mock-{PIECES}-0", "paced": f"mock-{PIECES}-20"}
"""As `bench.upstream` understands them; a load has the name of its model."""
QUESTION = "What are the weather and the time there?"
INSTRUCTIONS = "You are a helpful assistant."


async def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return weather(city)


async def get_time(city: str) -> str:
    """Tell the local time in a city."""
    return time(city)


def weather(city: str) -> str:
    return f"18 degrees and clear in {city}"


def time(city: str) -> str:
    return f"half past noon in {city}"


SAID = {"get_weather": weather, "get_time": time}
"""What each tool is to say of a city."""
TOOLS = (get_weather, get_time)
