"""uvicorn's settings, where the application says what it needs of the server."""

from typing import Any

from starlette.routing import Mount

from chatorch.entrypoints.common.connection.caps import CappedConfig

OF_APPLICATION = "application"
"""As `ws`: the class that the application has as `state.websocket`, or one that is mounted in it."""


class ServerConfig(CappedConfig):
    """It is asked when the application is there, in the process that serves it."""

    def __init__(self, *args: Any, ws: Any = "auto", **kwargs: Any) -> None:
        self._asks = ws == OF_APPLICATION
        super().__init__(*args, ws="none" if self._asks else ws, **kwargs)

    def load(self) -> None:
        super().load()
        if self._asks:
            self.ws_protocol_class = websocket_of(self.loaded_app)


def websocket_of(app: Any) -> type[Any] | None:
    """None where nothing in it takes WebSockets."""
    found: type[Any] | None = getattr(getattr(app, "state", None), "websocket", None)
    mounted = (route.app for route in getattr(app, "routes", ()) if isinstance(route, Mount))
    return found or next(filter(None, map(websocket_of, mounted)), None)
