"""Tool calls and sources, in the forms in which providers send them, and the parts that they must become."""

from collections.abc import Iterator
from typing import Any

from tests.support.provider_parts import HELLO, HM, TEXT, URL, URL_2, PartsCase, case, delta, message, top, whole

ARGUMENTS = '{"city": "Rome"}'


def entry(arguments: object = None, *, index: object = 0, id: str | None = None, name: str | None = None) -> Any:  # noqa: A002
    function = {"name": name, "arguments": arguments}
    said = {"index": index, "id": id, "type": "function", "function": function}
    said["function"] = {k: v for k, v in function.items() if v is not None}
    return {k: v for k, v in said.items() if v is not None}


def call(body: str = ARGUMENTS, id: str = "c1", name: str = "weather") -> tuple[object, ...]:  # noqa: A002
    return ("tool_call", {"id": id, "name": name}, body) if body else ("tool_call", {"id": id, "name": name})


def pieces(*entries: Any) -> list[bytes]:
    return [delta(tool_calls=[one]) for one in entries]


def calls() -> Iterator[PartsCase]:
    first = entry("", id="c1", name="weather")
    rest = [entry('{"city"'), entry(': "Rome"}')]
    yield case("call: piece by piece", pieces(first, *rest), call())
    yield case("call: after the text", [*TEXT, *pieces(first, *rest)], HELLO, call())
    yield case("call: before the text", [*pieces(first, *rest), *TEXT], call(), HELLO)
    yield case("call: after reasoning", [delta(reasoning="Hm, so"), *pieces(first, *rest)], HM, call())
    yield case("call: all at once", pieces(entry(ARGUMENTS, id="c1", name="weather")), call())
    again = entry('{"city": "Rome"}', id="c1", name="weather")
    split = [entry(a, id="c1", name="weather") for a in ('{"city"', ': "Rome"}')]
    yield case("call: id and name with each piece", pieces(*split), call())
    yield case("call: the name in pieces", pieces(entry(id="c1", name="wea"), entry(name="ther"), *rest), call())
    yield case("call: the id at last", pieces(entry(name="weather"), entry(id="c1"), *rest), call())
    yield case("call: another id with each piece", pieces(first, entry('{"city"', id="x"), entry(': "Rome"}', id="y")),
               call())  # fmt: skip
    yield case("call: no id", pieces(entry(ARGUMENTS, name="weather")), call(id="call_1"))
    yield case(
        "call: an id that is the word null", pieces(entry(ARGUMENTS, id="null", name="weather")), call(id="call_1")
    )
    yield case("call: no name", pieces(entry(ARGUMENTS, id="c1")), call(name=""))
    yield case("call: no arguments", pieces(entry("", id="c1", name="weather")), call(""))
    yield case("call: not even arguments", pieces(entry(id="c1", name="weather")), call(""))
    yield case("call: arguments that are no text", pieces(entry({"n": 1, "a": [None, "é"]}, id="c1", name="weather")),
               call('{"n": 1, "a": [null, "é"]}'))  # fmt: skip
    number = (
        b'{"choices":[{"delta":{"tool_calls":[{"id":"c1","function":{"name":"weather","arguments":{"a":1.10}}}]}}]}'
    )
    yield case("call: a number as it was written", [number], call('{"a": 1.10}'))
    yield case("call: cut short", pieces(first, entry('{"city"')), call('{"city"'))
    yield case("call: braces in strings", pieces(first, entry('{"a":"}'), entry('\\"}"}')), call('{"a":"}\\"}"}'))
    yield case("call: nothing", [delta(tool_calls=[{}, None, 3, {"index": 0}, {"function": {}}]), *TEXT], HELLO)
    yield case("call: not a list", [delta(tool_calls="none"), *TEXT], HELLO)
    custom = {"id": "c1", "type": "custom", "custom": {"name": "weather", "input": "Rome"}}
    yield case("call: a custom tool", [delta(tool_calls=[custom])], call("Rome"))
    legacy = [delta(function_call={"name": "weather", "arguments": ""}), delta(function_call={"arguments": ARGUMENTS})]
    yield case("call: function_call", legacy, call(id="call_1"))
    yield case("call: both forms", [delta(tool_calls=[again], function_call=again["function"])], call())
    signed = {**again, "extra_content": {"google": {"thought_signature": "c2ln"}}}
    kept = {"details": [{"extra_content": {"google": {"thought_signature": "c2ln"}}}]}
    yield case("call: signed", [delta(tool_calls=[signed])], (*call(), kept))
    yield whole("call: a whole message", message(content=None, tool_calls=[again]), call())
    yield whole(
        "call: text and call in a whole message", message(content="Hello there", tool_calls=[again]), HELLO, call()
    )
    repeated = delta(tool_calls=[again]) + message(content=None, tool_calls=[again])
    yield whole("call: a whole message that repeats it", repeated, call())
    yield from _several()


def _several() -> Iterator[PartsCase]:
    two = call('{"n":2}', "c2", "other")
    a, b = entry("", id="c1", name="weather"), entry("", index=1, id="c2", name="other")
    rest_a, rest_b = [entry('{"city"'), entry(': "Rome"}')], [entry('{"n"', index=1), entry(":2}", index=1)]
    yield case("calls: one after the other", pieces(a, *rest_a, b, *rest_b), call(), two)
    yield case("calls: interleaved", pieces(a, b, rest_a[0], rest_b[0], rest_b[1], rest_a[1]), call(), two)
    yield case("calls: the second whole first", pieces(a, b, *rest_b, *rest_a), call(), two)
    yield case("calls: the first never whole", pieces(a, rest_a[0], b, *rest_b), call('{"city"'), two)
    yield case("calls: in one chunk", [delta(tool_calls=[a, b]), *pieces(*rest_a, *rest_b)], call(), two)
    yield case(
        "calls: with text and reasoning between",
        [*pieces(a, rest_a[0]), delta(content="Hello"), delta(reasoning="Hm"), *pieces(rest_a[1], b, *rest_b)],
        call(), ("text", "Hello"), ("reasoning", "Hm"), two,
    )  # fmt: skip
    yield case("calls: text while nothing is known but the name", [*pieces(a), *TEXT, *pieces(*rest_a)], call(), HELLO)
    whole_a = entry('{"city": "Rome"}', id="c1", name="weather")
    whole_b = entry('{"n":2}', id="c2", name="other")
    yield case("calls: all with the same index", pieces(whole_a, whole_b), call(), two)
    bare_a, bare_b = (entry(e["function"]["arguments"], name=e["function"]["name"]) for e in (whole_a, whole_b))
    unnamed = (call(id="call_1"), call('{"n":2}', "call_2", "other"))
    yield case("calls: the same index, and no ids", pieces(bare_a, bare_b), *unnamed)
    for each in (whole_a, whole_b, bare_a, bare_b):
        del each["index"]
    yield case("calls: no index", pieces(whole_a, whole_b), call(), two)
    yield case("calls: no index, no ids", pieces(bare_a, bare_b), *unnamed)
    yield case("calls: no index, no ids, one chunk", [delta(tool_calls=[bare_a, bare_b])], *unnamed)
    same = [entry(ARGUMENTS, index=None, name="weather") for _ in range(2)]
    yield case("calls: the same twice", [delta(tool_calls=same)], call(id="call_1"), call(id="call_2"))
    yield whole("calls: a whole message", message(tool_calls=[whole_a, whole_b]), call(), two)
    by_id = [
        entry(x, index=None, id=i) for i, x in (("c2", '{"n"'), ("c1", '{"city"'), ("c1", ': "Rome"}'), ("c2", ":2}"))
    ]
    names = [entry(index=None, id="c1", name="weather"), entry(index=None, id="c2", name="other")]
    yield case("calls: by ids alone", pieces(*names, *by_id), call(), two)


def sources() -> Iterator[PartsCase]:
    def cited(url: str = URL, **said: object) -> dict[str, object]:
        return {"type": "url_citation", "url_citation": {"url": url, "start_index": 0, "end_index": 3, **said}}

    def source(url: str = URL, **said: str) -> tuple[object, ...]:
        return ("source", {"url": url, **said})

    titled = source(title="A")
    yield case("source: an annotation", [*TEXT, delta(annotations=[cited(title="A")])], HELLO, titled)
    yield case("source: it does not cut the text", [TEXT[0], delta(annotations=[cited()]), TEXT[1]], HELLO, source())
    yield case("source: with the text", [delta(content="Hello there", annotations=[cited(title="A")])], HELLO, titled)
    flat = {"type": "url_citation", "url": URL, "title": "A"}
    yield case("source: flat", [*TEXT, delta(annotations=[flat, flat])], HELLO, titled)
    yield whole(
        "source: a whole message", message(content="Hello there", annotations=[cited(title="A")]), HELLO, titled
    )
    file = {"type": "file_citation", "file_citation": {"file_id": "file-1", "quote": "x"}}
    flat_file = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 3}
    yield case("source: a file", [*TEXT, delta(annotations=[file, flat_file])], HELLO,
               ("source", {"file_id": "file-1", "title": "a.pdf"}))  # fmt: skip
    results = [{"title": "A", "url": URL, "date": None}, {"title": "B", "url": URL_2}]
    perplexity = [top(content=t, citations=[URL, URL_2], search_results=results) for t in ("Hello", " there", "!")]
    yield case("source: Perplexity", perplexity, ("text", "Hello there!"), titled, source(URL_2, title="B"))
    yield case("source: xAI", [*TEXT, top(citations=[URL])], HELLO, source())
    zhipu = [{"title": "A", "link": URL, "content": "x", "refer": "ref_1"}]
    yield case("source: Zhipu", [*TEXT, top(web_search=zhipu)], HELLO, titled)
    dashscope = {"search_results": [{"site_name": "s", "index": 1, "title": "A", "url": URL}]}
    yield case("source: DashScope", [*TEXT, top(search_info=dashscope)], HELLO, titled)
    azure = {"citations": [{"content": "x", "title": "A", "url": URL, "chunk_id": "0"}], "intent": "[]"}
    yield case("source: Azure", [*TEXT, delta(context=azure)], HELLO, titled)
    litellm = {"citation": {"type": "web_search_result_location", "url": URL, "title": "A", "cited_text": "x"}}
    yield case("source: LiteLLM", [*TEXT, delta(provider_specific_fields=litellm)], HELLO, titled)
    for name, url in {
        "a script": "javascript:alert(1)",
        "too long": "https://a/" + "x" * 9000,
        "data": "data:,x",
    }.items():
        yield case(f"source: {name}", [*TEXT, delta(annotations=[cited(url, title="A")])], HELLO)
    long = [*TEXT, delta(annotations=[cited(title="x" * 9000)])]
    yield case("source: a long title", long, HELLO, source(title="x" * 500))
    odd = [None, 3, "no address", {}, {"type": "url_citation"}, {"url_citation": 3}, [[]], {"url": 5}]
    yield case("source: none", [*TEXT, delta(annotations=odd), top(citations=3, search_results={"a": 1})], HELLO)
    yield case("source: without any text", [delta(annotations=[cited()])], source())
