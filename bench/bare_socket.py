"""What most tutorials write: a FastAPI WebSocket that echoes, and a loop that tells everyone."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
sockets: set[WebSocket] = set()


@app.websocket("/ws/{client_id}")
async def echo(socket: WebSocket):
    await socket.accept()
    sockets.add(socket)
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        sockets.discard(socket)


@app.post("/broadcast")
async def broadcast(message: dict[str, str]):
    for socket in list(sockets):
        await socket.send_text(message["text"])
    return {"told": len(sockets)}
