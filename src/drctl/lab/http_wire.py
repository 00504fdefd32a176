"""HTTP/1.1 as bytes on a stream: heads, chunks and bodies."""

import asyncio
from typing import Final

HEAD_LIMIT: Final = 65536
BODY_LIMIT: Final = 10 * 1024 * 1024
Headers = list[tuple[str, str]]


class Malformed(Exception):
    """The other side does not speak HTTP/1.1 as we know it."""


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    """Reads the start line and the headers, in order; raises `Malformed`."""
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = text.rstrip("\r\n").split("\r\n")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed
        headers.append((name.strip(), value.strip()))
    return start, headers


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Reads a chunked body to its end; raises `Malformed`, also for one that is too big."""
    body = bytearray()
    while size := chunk_size(await reader.readline()):
        body += await reader.readexactly(size)
        await reader.readline()
        if len(body) > BODY_LIMIT:
            raise Malformed
    while (await reader.readline()).strip():
        pass
    return bytes(body)


async def copy_body(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    is_chunked: bool,
    size: int | None,
) -> None:
    """Relays a body as it comes: chunked, of *size* bytes, or until the other side hangs up."""
    if is_chunked:
        while True:
            line = await reader.readline()
            left = chunk_size(line)
            writer.write(line)
            if not left:
                break
            writer.write(await reader.readexactly(left + 2))
            await writer.drain()
        while (line := await reader.readline()).strip():
            writer.write(line)
        writer.write(b"\r\n")
    elif size is not None:
        writer.write(await reader.readexactly(size))
    else:
        while piece := await reader.read(HEAD_LIMIT):
            writer.write(piece)
            await writer.drain()


def chunk_size(line: bytes) -> int:
    """Reads the line before a chunk; raises `Malformed`."""
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError as error:
        raise Malformed from error


def packed(start: str, headers: Headers) -> bytes:
    """Writes a head as bytes, the empty line included."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{start}\r\n{lines}\r\n".encode("latin-1")


def has(headers: Headers, name: str, token: str) -> bool:
    """Tells whether a header (lower case *name*) carries a token (lower case)."""
    return any(n.lower() == name and token in v.lower() for n, v in headers)


def length(headers: Headers) -> int | None:
    """Reads Content-Length; None without one; raises `Malformed`."""
    text = next((v for n, v in headers if n.lower() == "content-length"), None)
    if text is None:
        return None
    if not text.isdecimal():
        raise Malformed
    return int(text)
