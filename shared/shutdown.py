"""The end of a service: on SIGTERM `/health` says so first, and uvicorn is told to stop a moment later."""

import asyncio
import logging
import signal
import threading
from types import FrameType

log = logging.getLogger(__name__)


class Ending:
    """Whether the service is about to end. Between SIGTERM and the stop lie `SHUTDOWN_DRAIN_SECONDS`.

    In between it serves as usual, while whoever balances by `/health` stops sending requests. A second SIGTERM ends the
    pause.
    """

    def __init__(self, drain_seconds: float) -> None:
        self.drain_seconds = drain_seconds
        self.begun = False
        self.closing = False  # nobody can connect any more, and each connection ends with its next answer

    def watch(self) -> None:
        """Come before uvicorn's own handler of SIGTERM; in a thread, where no signal arrives, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        stop = signal.getsignal(signal.SIGTERM)
        if not callable(stop):  # no server: a test that runs the application itself
            return
        loop = asyncio.get_running_loop()

        def begin(number: int, frame: FrameType | None) -> None:
            pause = 0 if self.begun else self.drain_seconds
            self.begun = True
            # Handlers may run anywhere, so the loop is told the way that threads tell it.
            loop.call_soon_threadsafe(loop.call_later, pause, stop, number, frame)

        signal.signal(signal.SIGTERM, begin)
