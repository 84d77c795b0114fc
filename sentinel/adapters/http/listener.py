"""Serves pages in the running loop, and tries again while its port is taken."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Config, Server

from sentinel.adapters.http.params import HttpParams, Page, address_text
from sentinel.adapters.http.protocol import BoundedProtocol

log = logging.getLogger(__name__)

_BACKOFF_S_MIN, _BACKOFF_S_MAX = 1.0, 30.0
_BACKLOG = 128
_STOP_S_MAX = 1.0
_ONE_ANSWER = [("connection", "close"), ("cache-control", "no-store")]


class Listener:
    """Pages for whoever reaches the address; without it everything else goes on.

    Parameters
    ----------
    pages
        By path. A page is made on the loop, so it is made quickly.
    on_bound
        Told the address once it is bound, in place of "port 0" the port that it is.

    Attributes
    ----------
    trouble
        Why nobody is listened to at the moment; empty while all is well.
    """

    def __init__(
        self, params: HttpParams, pages: Mapping[str, Page], on_bound: Callable[[str], None]
    ) -> None:
        self._params = params
        self._pages = pages
        self._on_bound = on_bound
        self._server: Server | None = None
        self.trouble = ""

    @property
    def connection_count(self) -> int:
        """Connections that are open."""
        return 0 if self._server is None else len(self._server.server_state.connections)

    async def run(self) -> None:
        """Serve until cancelled; after a failure again and again."""
        failures = 0
        while True:
            try:
                bound = await _bound(*self._params.address())
            except OSError as error:
                self._failed(error)
                failures += 1
                await asyncio.sleep(min(_BACKOFF_S_MIN * 2.0 ** (failures - 1), _BACKOFF_S_MAX))
                continue
            failures = 0
            with bound:
                self.trouble = ""
                host, port = bound.getsockname()[:2]
                self._on_bound(address_text(host, port))
                await self._serve(bound)

    async def _serve(self, bound: socket.socket) -> None:
        """Serve what comes to a socket, until cancelled."""
        self._server = server = _Server(_server_config(_application(self._pages)))
        serving = asyncio.create_task(server.serve(sockets=[bound]), name="http")
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = server.force_exit = True
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait({serving}, timeout=_STOP_S_MAX)
            serving.cancel()

    def _failed(self, error: OSError) -> None:
        """Said once, however often it is tried."""
        why = "it is taken" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        trouble = f"no listener at {self._params.bind} ([http] bind): {why}"
        if trouble != self.trouble:
            log.warning("%s; it is tried again, scoring goes on", trouble)
        self.trouble = trouble


class _Server(Server):
    """Leaves signals to the run, which stops all in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises OSError."""
    loop = asyncio.get_running_loop()
    [found, *_] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)  # not before now it is certain that nobody else does
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _server_config(application: Starlette) -> Config:
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # strangers may not fill the log
    return Config(
        application,
        loop="none",
        lifespan="off",
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        backlog=_BACKLOG,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        headers=_ONE_ANSWER,
        timeout_graceful_shutdown=1,
    )


def _application(pages: Mapping[str, Page]) -> Starlette:
    """What answers with the pages, 404 to other paths and 405 to who wants more than to read."""
    routes = [Route(path, _endpoint(page), methods=["GET"]) for path, page in pages.items()]
    application = Starlette(routes=routes)
    application.router.redirect_slashes = False
    return application


def _endpoint(page: Page) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        answer = page()
        return Response(answer.body, answer.status, media_type=answer.media_type)

    return endpoint
