"""TLS before a PostgreSQL that has none: its own handshake (protocol-flow, "SSL Session Encryption"), then a relay."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_NOT_PLAIN = b'SFATAL\0C28000\0Mno pg_hba.conf entry for host "127.0.0.1", no encryption\0\0'


@asynccontextmanager
async def tls_before(
    url: str, certificate: tuple[object, object], *, clients: object = None, direct: bool = False
) -> AsyncIterator[int]:
    """A port that takes TLS and nothing else. `clients`: the authority that a client's certificate must be of.

    `direct`: TLS from the first byte, with the protocol's name (PostgreSQL 17).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, certificate))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(str(clients))
    if direct:
        context.set_alpn_protocols(["postgresql"])
    there = urlsplit(url)
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            if direct:
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "postgresql"
            elif await _begins_with_tls(reader, writer):
                await writer.start_tls(context)
            else:
                return
            server_reader, server_writer = await asyncio.open_connection(there.hostname, there.port)
            writers.add(server_writer)
            await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if direct else None)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def _begins_with_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    if await reader.readexactly(8) == _SSL_REQUEST:
        writer.write(b"S")
        return True
    writer.write(b"E" + struct.pack("!i", len(_NOT_PLAIN) + 4) + _NOT_PLAIN)
    writer.close()
    return False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    finally:
        writer.close()
