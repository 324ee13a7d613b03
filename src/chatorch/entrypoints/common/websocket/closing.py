"""Why a connection is closed: codes of RFC 6455 (7.4.1) and of our own, from 4000 on.

A program goes by the code. The words in `REASONS` go with it to whoever debugs one: at most 123 bytes (RFC 6455, 5.5),
and always the same for a code, so nothing that somebody wrote can get into them.
"""

NOT_TEXT = 1003
NO_CODE = 1005
"""Never sent: the client's close frame had none."""
BROKEN = 1006
"""Logged, never sent, where the connection ended otherwise than a WebSocket should."""
INVALID_TEXT = 1007
BAD_FRAME = 1008
FAULT = 1011
UNANSWERED_PING = 1011
RESTARTING = 1012
TRY_LATER = 1013
BAD_TOKEN = 4401
FORBIDDEN = 4403
TOO_SLOW = 4408
REPLACED = 4409
FLOODING = 4429

TOO_MANY_DEVICES = "too many connections of this user: close one before you connect again"

REASONS = {
    NOT_TEXT: "only text frames are taken",
    INVALID_TEXT: "text must be UTF-8",
    BAD_FRAME: "no request of this protocol",
    FAULT: "an error occurred",
    RESTARTING: "restarting: connect again",
    TRY_LATER: "unavailable: try again later",
    BAD_TOKEN: "no token, or one that is not good or not any more",
    FORBIDDEN: "the token does not allow it",
    TOO_SLOW: "reads too slowly: connect again, and run.follow from the last seq",
    REPLACED: "replaced by another connection of this device: do not connect again by yourself",
    FLOODING: "too many frames",
}
