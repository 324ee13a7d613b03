"""ChatKit's widget, over the threads that are here."""

from chatorch.entrypoints.chatkit.requests import FIELDS
from chatorch.entrypoints.chatkit.route import router
from chatorch.entrypoints.common.door import Door

DOOR = Door(name="chatkit", paths=("/chatkit",), routes=tuple(router.routes), fields=FIELDS)
