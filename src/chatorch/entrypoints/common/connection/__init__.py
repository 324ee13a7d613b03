"""uvicorn's HTTP/1 connection, mended where real clients trip over it, and bounded where hostile ones lean on it.

uvicorn is asked for it by name (`HTTP`).
"""

from chatorch.entrypoints.common.connection.protocol import HttpConnection as HttpConnection

HTTP = f"{__name__}:HttpConnection"
