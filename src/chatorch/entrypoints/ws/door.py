"""Chat over a WebSocket: its address, its fields, and the class that the server is to speak it with."""

from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.websocket.route import socket_routes
from chatorch.entrypoints.common.websocket.wire import WireProtocol
from chatorch.entrypoints.ws.frames import FIELDS
from chatorch.entrypoints.ws.needs import given

DOOR = Door(
    name="ws",
    paths=("/ws",),
    routes=socket_routes("/ws/chat/{client_id}", lambda scope: given.of(scope).device_speech()),
    fields=FIELDS,
    websocket=WireProtocol,
)
