"""What is used of uvicorn beyond what it promises: its connections, of which ours are made, and its types.

All of it comes from here, so that it can be seen. The requirements admit one minor release of uvicorn only, and
`tests/unit/test_third_party_internals.py` says which part a newer one has changed.
"""

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = [
    "ASGI3Application",
    "ASGIReceiveEvent",
    "ASGISendEvent",
    "FlowControl",
    "HttpToolsProtocol",
    "RequestResponseCycle",
    "WebSocketsSansIOProtocol",
]
