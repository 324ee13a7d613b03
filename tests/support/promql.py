"""As much of PromQL as our alerts and panels use; promtool, which reads all of it, is not there in every run."""

import re
from dataclasses import dataclass

_WORDS = {
    *("sum", "min", "max", "avg", "count", "by", "without", "on", "ignoring", "and", "or", "unless", "offset", "bool"),
    *("rate", "increase", "avg_over_time", "max_over_time", "absent", "histogram_quantile", "group_left", "clamp_min"),
}
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*(\{[^}]*\})?")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_WITHIN = re.compile(r"\[(?:\d+[smhd]|\$__rate_interval)\]")
_PAIRS = {")": "(", "}": "{", "]": "["}


@dataclass(frozen=True)
class Expression:
    """Metrics with the labels that they are selected by, and labels that are grouped by."""

    metrics: tuple[tuple[str, frozenset[str]], ...]
    grouped: frozenset[str]


def parse(text: str) -> Expression:
    """Raises `ValueError` for brackets or matchers that are none."""
    _require_pairs(re.sub(r'"(?:[^"\\]|\\.)*"', '""', text))
    grouped = {label.strip() for labels in _GROUPING.findall(text) for label in labels.split(",")}
    bare = re.sub(r"\b\d+[smhd]\b", "", _WITHIN.sub("", _GROUPING.sub("", text)))
    if "[" in bare:
        raise ValueError(f"no range: {bare}")
    metrics = []
    for name, selector in _SELECTOR.findall(bare):
        if name not in _WORDS:
            metrics.append((name, frozenset(_labels(selector))))
    return Expression(tuple(metrics), frozenset(grouped))


def _labels(selector: str) -> list[str]:
    matchers = [matcher for matcher in re.split(r",(?=\s*\w+\s*[=!])", selector.strip("{}")) if matcher.strip()]
    found = [_MATCHER.fullmatch(matcher.strip()) for matcher in matchers]
    if None in found:
        raise ValueError(f"no matchers: {selector}")
    return [match[1] for match in found if match]


def _require_pairs(text: str) -> None:
    open_: list[str] = []
    for sign in text:
        if sign in _PAIRS.values():
            open_.append(sign)
        elif sign in _PAIRS and (not open_ or open_.pop() != _PAIRS[sign]):
            raise ValueError(f"brackets: {text}")
    if open_:
        raise ValueError(f"brackets: {text}")
