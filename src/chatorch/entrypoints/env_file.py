"""The first ``.env``."""

import os
import secrets
from enum import Enum
from pathlib import Path

from dotenv import dotenv_values

from chatorch.entrypoints.env_syntax import ENV_ENCODING

TEMPLATE = """\
# Settings of chatorch. The environment goes before this file.
SECRET_KEY={secret_key}

# Without a key, and without the address of a compatible server, an offline model answers.
#OPENAI_API_KEY=
#OPENAI_BASE_URL=

#DATABASE_URL=sqlite:///./chat.db
#CHATORCH_MODEL=
"""


class Written(Enum):
    """What became of the file."""

    NEW = "new"
    KEY_ADDED = "key added"
    UNCHANGED = "unchanged"


def write_env_file(path: Path) -> Written:
    """Writes a new file, for its owner's eyes only (0600), with a fresh `SECRET_KEY`.

    To one that is there without a key it adds one, and changes nothing else.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _add_key(path)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(TEMPLATE.format(secret_key=_new_key()))
    return Written.NEW


def _add_key(path: Path) -> Written:
    if dotenv_values(path, interpolate=False, encoding=ENV_ENCODING).get("SECRET_KEY"):
        return Written.UNCHANGED
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # a link may lead to where none is
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(f"\nSECRET_KEY={_new_key()}\n")
    return Written.KEY_ADDED


def _new_key() -> str:
    return secrets.token_urlsafe(48)
