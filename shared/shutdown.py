"""The end of a service: on SIGTERM `/health` says so first, and uvicorn is told to stop a moment later."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn


class Ending:
    """Whether the service is about to end. Between SIGTERM and the stop lie `SHUTDOWN_DRAIN_SECONDS`.

    In between it serves as usual, while whoever balances by `/health` stops sending requests. A second SIGTERM ends the
    pause. `shed` is called as the stop begins.
    """

    def __init__(self, drain_seconds: float, shed: Callable[[], None]) -> None:
        self.drain_seconds = drain_seconds
        self._shed = shed
        self.begun = False
        self.closing = False  # nobody can connect any more, and each connection ends with its next answer
        self._last: set[asyncio.Task[object]] = set()  # the connections that were taken at the very end

    def watch(self) -> None:
        """Come before uvicorn's own handler of SIGTERM; in a thread, where no signal arrives, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        stop = signal.getsignal(signal.SIGTERM)
        if not callable(stop):  # no server: a test that runs the application itself
            return
        loop = asyncio.get_running_loop()
        server = getattr(stop, "__self__", None)

        def end(number: int, frame: FrameType | None) -> None:
            # Out of descriptors, for example, it ends all the same, and what waits in the backlog is lost.
            with suppress(OSError):
                if isinstance(server, uvicorn.Server):
                    self._close_listeners(server)
            self._shed()
            stop(number, frame)

        def begin(number: int, frame: FrameType | None) -> None:
            pause = 0 if self.begun else self.drain_seconds
            self.begun = True
            # Handlers may run anywhere, so the loop is told the way that threads tell it.
            loop.call_soon_threadsafe(loop.call_later, pause, end, number, frame)

        signal.signal(signal.SIGTERM, begin)

    def _close_listeners(self, server: uvicorn.Server) -> None:
        """Take every connection that the kernel has accepted so far, and none after that.

        Left to uvicorn, those that wait in the backlog would be reset, and with them requests that a proxy has sent:
        it asks a GET again elsewhere, but no POST. What stays is the time between two system calls.
        """
        loop = asyncio.get_running_loop()
        for listener in server.servers:
            backlogs = [socket.socket(fileno=os.dup(each.fileno())) for each in listener.sockets]
            listener.close()
            for backlog in backlogs:
                backlog.setblocking(False)
                with backlog, suppress(BlockingIOError):
                    while True:
                        taken, _ = backlog.accept()
                        connecting = loop.connect_accepted_socket(
                            lambda: _protocol(server), taken, ssl=server.config.ssl
                        )
                        task = loop.create_task(connecting)
                        self._last.add(task)
                        task.add_done_callback(self._last.discard)


def _protocol(server: uvicorn.Server) -> asyncio.Protocol:
    return server.config.http_protocol_class(  # type: ignore[call-arg]
        config=server.config, server_state=server.server_state, app_state=server.lifespan.state
    )
