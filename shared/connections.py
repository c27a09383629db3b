"""uvicorn's HTTP protocol, with limits on how many connections there are, how long each may take, and what comes in.

uvicorn by itself waits for ever for the rest of a header, and for a client that does not read its answer. Given to it
as `--http shared.connections:BoundedConnection`; it gets its settings from the application's lifespan.
"""

import asyncio
from functools import partial
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from .context import request_id_of
from .errors import BadRequest
from .headers import RawHeaders
from .overload import Doorkeeper
from .rendering import bare
from .settings import Settings
from .shutdown import Ending

# Of a request's line and headers together, or of what comes between the parts of its body and after it.
MAX_HEAD_BYTES = 65_536


class BoundedConnection(HttpToolsProtocol):
    """One connection. `MAX_CONNECTIONS`, `HEADER_TIMEOUT_SECONDS`, `SEND_TIMEOUT_SECONDS`, MAX_HEAD_BYTES bound it.

    Past the number, the connection that waits for its client and has had no answer for the longest time is closed in
    favour of the new one: a monitor gets through while somebody holds connections open. If all are at work, the new
    one is closed.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings: Settings = app_state["settings"]
        self._ending: Ending = app_state["ending"]
        self._doorkeeper: Doorkeeper = app_state["doorkeeper"]
        self._idle_since = self.loop.time()
        self._served: RequestResponseCycle | None = None  # `cycle` is the last one that has come
        self._header_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0  # which the parser keeps until it has all of them, give or take what came at once

    @property
    def _at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _waits_for_client(self) -> bool:
        """Whether the client is to ask, to send the rest of a body or to read."""
        return not self._at_work or self.cycle.more_body or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, if need be in the place of another."""
        super().connection_made(transport)
        self._await_header()
        if len(self.connections) > self._settings.max_connections:
            others = (other for other in self.connections if isinstance(other, BoundedConnection))
            min(
                (other for other in others if other._waits_for_client), key=lambda other: other._idle_since
            ).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and let who answers know: of requests sent ahead, uvicorn tells the last one alone."""
        _cancel(self._header_timer)
        _cancel(self._send_timer)
        if self._served is not None:
            self._served.disconnected = True
            self._served.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first byte of a request after the first one; as uvicorn, but for an `Upgrade`.

        That offer is passed over (RFC 9110, section 7.8). The parser stops at it and would take the body for another
        protocol's: so it gets the request once more, without the offer.
        """
        if self._header_timer is None and not self._at_work:
            self._await_header()
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        rest = memoryview(data)
        try:
            while rest:
                try:
                    self.parser.feed_data(rest)
                    break
                except HttpParserUpgrade as stopped:
                    rest = rest[stopped.args[0] :]
                    self._read_again_without_offer()
            if self._head_bytes > MAX_HEAD_BYTES:
                raise HttpParserError
        except HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("")

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more, but may still read: what it has asked is answered."""
        return self._ends_with_its_answer()

    def on_headers_complete(self) -> None:
        """Stop the clock; the body has one of its own."""
        _cancel(self._header_timer)
        self._header_timer = None
        version, hosts = self.parser.get_http_version(), sum(name == b"host" for name, _ in self.headers)
        if version not in ("1.0", "1.1") or hosts > 1 or (version == "1.1" and not hosts):
            raise ValueError("no HTTP/1.1")  # to the parser it is what can't be parsed (RFC 9112, section 3.2)
        if self.parser.get_method() == b"CONNECT":
            raise ValueError("no proxy")
        if self.parser.should_upgrade():
            return  # it is about to stop
        super().on_headers_complete()
        self._head_bytes = 0
        self.headers = []  # what trailers join: they came past whoever checked the header (RFC 9110, section 6.5.1)
        if self._ending.closing and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; whatever stood before it has been read."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Here ends the request, unless it has to be read once more."""
        self._head_bytes = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Be idle again."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: it gets a while."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(self._settings.send_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has caught up."""
        _cancel(self._send_timer)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Closing waits for what was not sent yet; an idle client that never reads it is not waited for."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as everything else is answered, and hang up.

        But not in the place of the answer to what came before it: that may have been done.
        """
        if self._ends_with_its_answer():
            self.flow.pause_reading()  # or nonsense without end is read, and kept, until that answer
            return
        fields, body = bare(BadRequest(), self._settings.default_language, "/", request_id_of(None))
        self._answer(b"400 Bad Request", fields, body, hang_up=True)

    def _ends_with_its_answer(self) -> bool:
        """Whether a request has come whole and is at work: then the connection ends once it is answered."""
        asked = self._at_work and not self.cycle.more_body
        if asked:
            self.cycle.keep_alive = False
        return asked

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Serve a request, or have it refused in its turn."""
        self._served = cycle
        if self._doorkeeper.lets_in(cycle.scope["path"]):
            super()._start_asgi_task(cycle, app)
        else:
            self._doorkeeper.refuse_in_turn(partial(self._refuse, cycle))

    def _refuse(self, cycle: RequestResponseCycle) -> None:
        if self.transport.is_closing():
            return
        fields, body = self._doorkeeper.refusal_of(cycle.scope)
        cycle.response_complete = True  # what is still to come of its body is passed over
        # Nothing is kept alive for who does not read, or waits for a word before it sends its body.
        unfit = self.flow.write_paused or cycle.waiting_for_100_continue
        self._answer(
            b"503 Service Unavailable",
            fields,
            b"" if cycle.scope["method"] == "HEAD" else body,
            hang_up=unfit or not cycle.keep_alive,
        )
        self.on_response_complete()

    def _answer(self, status: bytes, fields: RawHeaders, body: bytes, *, hang_up: bool) -> None:
        fields = [*self.server_state.default_headers, *fields, *([(b"connection", b"close")] if hang_up else ())]
        head = [b"HTTP/1.1 " + status, *(name + b": " + value for name, value in fields)]
        self.transport.write(b"\r\n".join([*head, b"", body]))
        if hang_up:
            self.transport.close()

    def _read_again_without_offer(self) -> None:
        version = self.parser.get_http_version().encode()
        lines = [b" ".join((self.parser.get_method(), self.url, b"HTTP/" + version))]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        # Another parser, as uvicorn's: this one reads nothing more if the request is the connection's last.
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def shutdown(self) -> None:
        """Called when nobody can connect any more. A request may be on its way to an idle connection: let it come.

        A proxy ends a connection before the keep-alive time does, and so no request of its meets an end of ours.
        """
        self._ending.closing = True
        if self._at_work or not self._ending.drain_seconds:
            super().shutdown()
        elif self.timeout_keep_alive_task is None:  # no request yet
            self.loop.call_later(1.0, super().shutdown)

    def _await_header(self) -> None:
        self._header_timer = self.loop.call_later(self._settings.header_timeout_seconds, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
