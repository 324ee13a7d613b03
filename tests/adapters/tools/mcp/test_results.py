"""What is told of a result, by what stands in it."""

from typing import Any

import pytest
from mcp_types import CallToolResult, EmbeddedResource, ImageContent, TextContent, TextResourceContents

from chatorch.adapters.tools.mcp.results import output_of

IMAGE = ImageContent(data="QUJD", mime_type="image/png")
NOTE = "[image, image/png, 3 bytes]"
NOTES = EmbeddedResource(resource=TextResourceContents(uri="file:///n.txt", text="the notes"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], '{"n":1}'),
        ([IMAGE], f'{{"n":1}}\n{NOTE}'),
        ([TextContent(text=""), IMAGE], f'{{"n":1}}\n\n{NOTE}'),
        ([NOTES], '{"n":1}\nthe notes'),
        ([TextContent(text="one"), IMAGE], f"one\n{NOTE}"),
    ],
)
def test_what_is_structured_is_told_unless_a_text_says_it(content: list[Any], text: str):
    assert output_of(CallToolResult(content=content, structured_content={"n": 1})).content == text
    assert '"n"' not in output_of(CallToolResult(content=content)).content
