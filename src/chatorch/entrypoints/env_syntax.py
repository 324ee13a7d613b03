"""How a ``.env`` is written: in UTF-8, and nothing in it but assignments."""

from pathlib import Path

from dotenv.parser import parse_stream

ENV_ENCODING = "utf-8-sig"
"""Some editors put a BOM before it; else it would become a part of the first name."""


def broken_lines(env_file: Path | None) -> list[int]:
    """The numbers of lines that are no assignment: left out, they would be settings that nobody misses.

    Empty without a file. Raises `IsADirectoryError` where Docker made a folder of one to mount that was not
    there.
    """
    if env_file is None or not (env_file.is_file() or env_file.is_dir()):
        return []
    with env_file.open(encoding=ENV_ENCODING) as file:
        return [
            binding.original.line
            for binding in parse_stream(file)
            if binding.error or (binding.key and binding.value is None)
        ]
