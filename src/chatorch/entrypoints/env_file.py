"""The first ``.env``."""

import os
import secrets
from pathlib import Path

TEMPLATE = """\
# Settings of chatorch. The environment goes before this file.
SECRET_KEY={secret_key}

# Without a key, and without the address of a compatible server, an offline model answers.
#OPENAI_API_KEY=
#OPENAI_BASE_URL=

#DATABASE_URL=sqlite:///./chat.db
#CHATORCH_MODEL=
"""


def write_env_file(path: Path) -> bool:
    """Writes a new file, for its owner's eyes only (0600), with a fresh `SECRET_KEY`. False if one is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(TEMPLATE.format(secret_key=secrets.token_urlsafe(48)))
    return True
