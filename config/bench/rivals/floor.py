"""The floor: one connection that changes one row and commits, again and again. Nothing that records steps is faster."""

from __future__ import annotations

import sys
import time

import psycopg

from config.bench.rivals import serve


class Floor:
    """One connection, as psycopg and PostgreSQL come."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)

    def prepare(self) -> None:
        self.connection.execute("CREATE TABLE floor (id int PRIMARY KEY, value int NOT NULL)")
        self.connection.execute("INSERT INTO floor VALUES (1, 0)")
        self.connection.commit()

    def stock(self, workflows: int) -> None:
        pass

    def work(self, seconds: float, at_once: int) -> int:
        ends, done = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            self.connection.execute("UPDATE floor SET value = value + 1 WHERE id = 1")
            self.connection.commit()
            done += 1
        return done

    def recorded(self) -> int:
        [(value,)] = self.connection.execute("SELECT value FROM floor")
        self.connection.commit()
        return int(value)

    def clear(self) -> None:
        pass

    def start(self) -> None:
        raise NotImplementedError


if __name__ == "__main__":
    serve(Floor(sys.argv[1]))
