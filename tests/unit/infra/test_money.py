"""Amounts as people read them."""

from __future__ import annotations

import pytest

from infra.presenters_base import money


@pytest.mark.parametrize(
    ("cents", "currency", "words"),
    [
        (4700, "usd", "$47"),
        (125_000, "usd", "$1,250"),
        (1299, "usd", "$12.99"),
        (-3133, "usd", "-$31.33"),
        (-500, "chf", "-5 CHF"),
        (0, "usd", "$0"),
    ],
)
def test_an_amount_is_written_as_people_read_it(cents: int, currency: str, words: str) -> None:
    assert money(cents, currency) == words
