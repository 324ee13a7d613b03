"""Chat over a WebSocket: its routes, its fields, and the class that the server is to speak it with."""

from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.websocket.wire import WireProtocol
from chatorch.entrypoints.ws.frames import FIELDS
from chatorch.entrypoints.ws.route import router, routes

DOOR = Door(name="ws", paths=("/ws",), routes=(*router.routes, *routes), fields=FIELDS, websocket=WireProtocol)
