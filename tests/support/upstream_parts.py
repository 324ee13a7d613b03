"""Steps of `tests.support.upstream` for what a provider says beside its text."""

from tests.support.upstream import Step, chunk, delta


def says(**members: object) -> Step:
    """One chunk with these members of a delta: ``reasoning_content``, ``tool_calls``, ``annotations`` …"""
    return chunk(delta(**members))


def thinks(*pieces: str) -> list[Step]:
    return [says(reasoning_content=piece) for piece in pieces]


def calls(name: str, *arguments: str, ident: str = "call_1") -> list[Step]:
    """A call of a tool, its arguments a chunk a piece."""
    begins = says(tool_calls=[{"index": 0, "id": ident, "type": "function", "function": {"name": name}}])
    return [begins, *(says(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in arguments)]


def cites(url: str, title: str) -> Step:
    citation = {"url": url, "title": title, "start_index": 0, "end_index": 1}
    return says(annotations=[{"type": "url_citation", "url_citation": citation}])
