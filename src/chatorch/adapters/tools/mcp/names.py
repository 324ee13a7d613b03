"""What a server's tool is called here: ``<server>__<tool>``, in a form that providers take."""

import re
from hashlib import sha256

from chatorch.domain.model.tools import MAX_NAME_CHARS

BETWEEN = "__"
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_MARK_CHARS = 8


def public_name(server: str, tool: str) -> str:
    """The same for the same two names always, whatever else the server has, since calls that wait for an approval hold
    it. A name that does not fit as it is ends in a mark of its own, so that two never become one."""
    whole = f"{server}{BETWEEN}{tool}"
    fit = _UNFIT.sub("_", whole)
    if fit == whole and len(fit) <= MAX_NAME_CHARS:
        return fit
    mark = sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_CHARS]
    return f"{fit[: MAX_NAME_CHARS - _MARK_CHARS - 1]}_{mark}"


def server_in(name: str) -> str:
    """Whose tool it is, by its public name."""
    return name.partition(BETWEEN)[0]
