"""Places in lists that OpenAI keeps."""

from dataclasses import dataclass

from chatorch.domain.model.chatkit_hosted.history import is_hosted_id
from chatorch.domain.model.paging import bad_cursor, decode_cursor, encode_cursor


@dataclass(frozen=True, slots=True)
class HostedCursor:
    """A place in a list that the provider keeps: after the thing of this id."""

    id: str

    def encode(self) -> str:
        return encode_cursor(["h", self.id])

    @classmethod
    def decode(cls, token: str) -> "HostedCursor":
        """Raises `InvalidField` for anything that `encode` did not make."""
        match decode_cursor(token):
            case ["h", str(id_)] if is_hosted_id(id_):
                return cls(id_)
        raise bad_cursor()
