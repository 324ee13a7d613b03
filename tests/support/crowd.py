"""A program: one user's devices, so many at a time, that come and go as fast as they are let. It prints what it saw.

``python -m tests.support.crowd PORT TOKEN DEVICES SECONDS``, in a process of its own: it takes all the time it gets.
"""

import asyncio
import json
import sys
import time
from collections import Counter

HANDSHAKE = (
    "GET /ws/chat/device-{number} HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
)
STAYS_S = 0.3
CLOSE = b"\x88"


async def come_and_go(port: int, token: str, number: int, until: float, seen: Counter[str]) -> None:
    while time.monotonic() < until:
        try:
            address = (f"127.0.{1 + number // 250}.{1 + number % 250}", 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=address)
        except OSError:
            seen["no connection"] += 1
            await asyncio.sleep(0.1)
            continue
        try:
            writer.write(HANDSHAKE.format(number=number, token=token).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            seen[head.split(b" ")[1].decode()] += 1
            async with asyncio.timeout(STAYS_S):
                frame = await reader.readexactly(4)
                while frame[:1] != CLOSE:
                    await reader.readexactly(frame[1] - 2)
                    seen["frames"] += 1
                    frame = await reader.readexactly(4)
                seen[str(int.from_bytes(frame[2:4], "big"))] += 1
        except TimeoutError:
            seen["stayed"] += 1
        except (OSError, EOFError):
            seen["broken"] += 1
        finally:
            writer.close()


async def main(port: int, token: str, devices: int, seconds: float) -> None:
    seen: Counter[str] = Counter()
    until = time.monotonic() + seconds
    await asyncio.gather(*(come_and_go(port, token, number, until, seen) for number in range(devices)))
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
