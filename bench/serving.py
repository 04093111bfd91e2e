"""`lille serve` as a child process, and HTTP/1.1 as little as bench/soak.py and bench/serve_load.py need, with Python's
standard library alone."""

import asyncio
import contextlib
import json
import os
import re


class Server:
    """A running `lille serve`. `log` has its log lines, parsed, in order."""

    def __init__(self, process, host, port, keeps_log):
        self.process = process
        self.host = host
        self.port = port
        self.log = []
        self._reader = asyncio.create_task(self._read_log(keeps_log))

    @classmethod
    async def start(cls, program, *options, keeps_log=True):
        """Returns when the server has printed its address."""
        process = await asyncio.create_subprocess_exec(
            program, "serve", "--port", "0", *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 20)  # fmt: skip
        address = (await process.stdout.readline()).decode().strip()
        found = re.fullmatch(r"http://(.+):(\d+)", address)
        if not found:
            raise SystemExit(f"the server did not start: {(await process.stderr.read()).decode()}")
        return cls(process, found[1], int(found[2]), keeps_log)

    async def _read_log(self, keeps_log):
        async for line in self.process.stderr:
            # The other lines are for people.
            if keeps_log and line.startswith(b"{"):
                self.log.append(json.loads(line))

    def rss_kib(self):
        """What it has of memory, in KiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def cpu_s(self):
        """Seconds of processors that it has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def call(self, path, body=None):
        """The reply to one request of its own connection."""
        async with connection(self) as (reader, writer):
            writer.write(request(path, body))
            return await read_reply(reader)

    async def metrics(self):
        """The numbers of /metrics by name; those with labels are left out."""
        text = (await self.call("/metrics")).body.decode()
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}

    async def stop(self):
        """Ends it by SIGTERM; returns its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        status = await self.process.wait()
        await self._reader
        return status


class Reply:
    """A reply of HTTP: its status, its headers by lower-case name, its body with chunks put together."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


@contextlib.asynccontextmanager
async def connection(server):
    """A connection to a server, closed at the end."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 22)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def request(path, body=None, request_id=""):
    """The bytes of a GET, or of a POST if there is a body (an object, or bytes as they are)."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if request_id:
        head += f"X-Request-Id: {request_id}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


async def read_head(reader):
    """Status and headers of a reply."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    found = re.fullmatch(r"HTTP/1\.[01] (\d{3})( .*)?", lines[0])
    if not found:
        raise ValueError(f"no reply of HTTP: {lines[0]!r}")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    return int(found[1]), {name.lower(): value for name, value in headers.items()}


async def read_reply(reader):
    """One whole reply; an asyncio.IncompleteReadError if the connection ends before."""
    status, headers = await read_head(reader)
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while n_bytes := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(n_bytes + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Reply(status, headers, body)
