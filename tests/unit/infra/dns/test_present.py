"""What lies at a domain before it leads elsewhere."""

from __future__ import annotations

from infra.dns import present
from infra.dns.records import record
from infra.dns.resolver import Patience
from tests.unit.infra.dns.kit import BROKEN, SILENT, Table

MX, SPF = record("MX", "sample.com", "10 mx.old.example"), record("TXT", "sample.com", "v=spf1 -all")
WEB = record("A", "www.sample.com", "203.0.113.9")


def found(*servers: Table) -> present.Present:
    return present.find("Sample.com.", servers, Patience(lambda: 0.0, 5.0, 3.0))


def test_mail_website_and_texts_are_found() -> None:
    assert found(Table("own", [SPF, WEB, MX])) == present.Present((MX, WEB, SPF))


def test_a_server_that_fails_leaves_the_question_to_the_next() -> None:
    broken = Table("broken", instead={"": BROKEN})
    assert found(broken, Table("own", [MX])).records == (MX,)
    assert len(broken.asked) == 1


def test_that_nothing_is_there_is_known() -> None:
    assert found(Table("own")) == present.Present((), was_answered=True)


def test_where_nobody_answers_nothing_is_known() -> None:
    assert found(Table("silent", instead={"": SILENT})) == present.Present((), was_answered=False)
    assert not found().was_answered


def test_what_is_not_said_of_the_rest_is_left_out() -> None:
    assert found(Table("own", [MX, WEB], instead={"www.sample.com": BROKEN})).records == (MX,)
