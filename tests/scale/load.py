"""Clients that never stop, and remember what they were told."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx

# The promise is 5 s. Here a guard against hanging, with room for a busy machine.
LONGEST_SECONDS = 8

Call = Callable[[], httpx.Response]


@dataclass
class Answer:
    """What became of one request."""

    started: float
    ended: float
    status: int
    request_id: str
    body: dict[str, object]


class Load:
    """Runs each call again and again in a thread of its own, from entering the block to its end.

    Afterwards `answers` tells each call's answers in order.
    """

    def __init__(self, **calls: Call) -> None:
        self.answers: dict[str, list[Answer]] = {name: [] for name in calls}
        self._failures: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=item, daemon=True) for item in calls.items()]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not self._failures, self._failures

    def acknowledged(self, name: str) -> list[Answer]:
        """The answers that promised something."""
        return [answer for answer in self.answers[name] if answer.status < 300]

    def check(self, started_after: float) -> str:
        """Only successes and 503, none too late, and whatever started after that moment succeeded; a line to print."""
        every = [answer for answers in self.answers.values() for answer in answers]
        assert {answer.status for answer in every} <= {200, 201, 204, 503}, Counter(answer.status for answer in every)
        slowest = max(answer.ended - answer.started for answer in every)
        assert slowest < LONGEST_SECONDS
        late = [answer for answer in every if answer.started > started_after]
        assert late and {answer.status for answer in late} <= {200, 201, 204}, Counter(answer.status for answer in late)
        refused = sorted((answer for answer in every if answer.status == 503), key=lambda answer: answer.started)
        counts = {name: len(self.acknowledged(name)) for name in self.answers}
        first, last = (refused[0].started, self.last_refusal()) if refused else (0, 0)
        return f"acknowledged {counts}, 503 {len(refused)} over {last - first:.1f} s, slowest {slowest:.1f} s"

    def last_refusal(self) -> float:
        """When the last 503 came."""
        return max((a.ended for answers in self.answers.values() for a in answers if a.status == 503), default=0)

    def _run(self, name: str, call: Call) -> None:
        try:
            while not self._stop.is_set():
                started = time.monotonic()
                answer = call()
                body = answer.json() if answer.content else {}
                request_id = answer.headers["x-request-id"]
                answered = Answer(started, time.monotonic(), answer.status_code, request_id, body)
                self.answers[name].append(answered)
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) >= 1
                    time.sleep(0.1)
        except BaseException as failure:
            self._failures.append(failure)
