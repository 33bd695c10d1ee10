"""Many clients at once: posts over real HTTP, each client on a connection of its own, every answer timed."""

from __future__ import annotations

import http.client
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

PATIENCE = 60.0  # seconds; an answer that takes longer is a failure, not a latency


@dataclass(frozen=True, slots=True)
class Post:
    """One request."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request was answered; status 0 when it was not."""

    path: str
    status: int
    seconds: float


def hammer(address: str, posts: Iterable[Post], *, clients: int = 8) -> list[Answer]:
    """Send all posts, `clients` at a time, in their order. A generator may make them at the last moment."""
    waiting, lock, answers = iter(posts), threading.Lock(), list[Answer]()

    def work() -> None:
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        try:
            for post in _shared(waiting, lock):
                answers.append(_send(connection, post))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _shared(posts: Iterator[Post], lock: threading.Lock) -> Iterator[Post]:
    while True:
        with lock:
            post = next(posts, None)
        if post is None:
            return
        yield post


def _send(connection: http.client.HTTPConnection, post: Post) -> Answer:
    began = time.perf_counter()
    try:
        connection.request("POST", post.path, post.body, dict(post.headers))
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it anew
        status = 0
    return Answer(post.path, status, time.perf_counter() - began)


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
