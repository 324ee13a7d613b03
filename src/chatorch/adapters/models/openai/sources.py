"""Where an answer says that it has something from: annotations, citations, search results."""

from collections.abc import Iterator, Mapping

from chatorch.adapters.models.openai.reports import Json
from chatorch.adapters.models.openai.storable import leaves
from chatorch.domain.model.text import storable_text

Source = dict[str, str]
"""The head of a source part: ``url``, ``title``, ``file_id``; of the first and the last at least one."""

_MAX_URL_CHARS = 8192
_MAX_TITLE_CHARS = 500
_MAX_ID_CHARS = 500

_IN_CHUNK = ("citations", "search_results", "web_search", "references", "search_info")
"""Perplexity and xAI; Perplexity; Zhipu; Volcengine's bots; DashScope and Hunyuan."""
_IN_MESSAGE = ("annotations", "citations", "references", "context", "provider_specific_fields")
"""OpenAI and most; Cohere; Volcengine; Azure; LiteLLM."""
_LISTS = ("citations", "citation", "search_results")
_INNER = ("url_citation", "file_citation", "container_file_citation", "file_path", "document", "web", "source", "file")
_URLS = ("url", "uri", "link")
_TITLES = ("title", "filename", "file_name", "name", "site_name")
_FILE_IDS = ("file_id", "id")


def sources_of_chunk(chunk: Json) -> Iterator[Source]:
    for name in _IN_CHUNK:
        if (said := chunk.get(name)) is not None:
            yield from _sources(said)


def sources_of_message(said: object) -> Iterator[Source]:
    """Of a delta or a message."""
    if isinstance(said, Mapping):
        for name in _IN_MESSAGE:
            if (found := said.get(name)) is not None:
                yield from _sources(found)


def source_of(said: Json) -> Source | None:
    """None where it names nothing to go to. An address of another scheme than HTTP's is none: it may be a script."""
    inner = next((found for name in _INNER if isinstance(found := said.get(name), Mapping)), {})
    is_file = any(name.startswith(("file", "container")) and name in said for name in _INNER)
    source: Source = {}
    url = _first(_URLS, said, inner, limit=_MAX_URL_CHARS)
    if url.lower().startswith(("http://", "https://")):
        source["url"] = url
    if file_id := _first(_FILE_IDS if is_file else _FILE_IDS[:1], inner, said, limit=_MAX_ID_CHARS):
        source["file_id"] = file_id
    if not source:
        return None
    if title := _first(_TITLES, said, inner, limit=None):
        source["title"] = title[:_MAX_TITLE_CHARS]
    return source


def _sources(said: object) -> Iterator[Source]:
    for leaf in leaves(said):
        one = {"url": leaf} if isinstance(leaf, str) else leaf
        if not isinstance(one, Mapping):
            continue
        if source := source_of(one):
            yield source
        else:
            inner = [found for name in _LISTS for found in leaves(one.get(name)) if isinstance(found, Mapping)]
            yield from filter(None, map(source_of, inner))


def _first(names: tuple[str, ...], *places: Json, limit: int | None) -> str:
    """The first text among these members that is not too long."""
    for place in places:
        for name in names:
            said = place.get(name)
            if isinstance(said, str) and (said := said.strip()) and (limit is None or len(said) <= limit):
                return storable_text(said)
    return ""


class Sources:
    """Each source once, in the order in which they came first; what is said of one later is added to it."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, Source] = {}

    def add(self, source: Source) -> int:
        """How much longer all of them are by this one, in code points."""
        place = source.get("url") or f"file {source['file_id']}"
        known = self._found.setdefault(place, {})
        news = {name: said for name, said in source.items() if name not in known}
        known.update(news)
        return sum(map(len, news.values()))

    def taken(self) -> list[Source]:
        """All of them; none is left."""
        found, self._found = list(self._found.values()), {}
        return found
