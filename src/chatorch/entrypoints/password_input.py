"""A password as whoever types or pipes one gives it."""

import warnings
from getpass import GetPassWarning

import typer

from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.identity import MAX_PASSWORD_CHARS, canonical_password
from chatorch.entrypoints.process.standard_streams import InputRefused, read_input


def password_given(*, from_stdin: bool) -> str:
    """In its canonical form. Raises `InputRefused`, with one line that says why."""
    try:
        return canonical_password(_piped() if from_stdin else _asked_for())
    except InvalidField as error:
        raise InputRefused(f"{error.field}: {error.problem}") from None


def _piped() -> str:
    given = read_input(lambda stdin: stdin.read(MAX_PASSWORD_CHARS + 2))
    return given.removesuffix("\n").removesuffix("\r")


def _asked_for() -> str:
    with warnings.catch_warnings(action="error", category=GetPassWarning):
        try:
            return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
        except GetPassWarning:
            raise InputRefused("there is no terminal to ask for the password; use --password-stdin") from None
