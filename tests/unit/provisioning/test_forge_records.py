"""The whole set of a domain's records with its DMARC record changed: nothing else moves, and no partial set is planned."""

from __future__ import annotations

from infra.dns.records import record
from integrations.infraforge import DnsRecord
from provisioning.steps.forge.domains import planned

ZONE = "acme.com"
MX = DnsRecord(ZONE, "MX", "10 mx1.example.net", editable=False)
SPF = DnsRecord(ZONE, "TXT", "v=spf1 include:_spf.example.net -all")
KEY = DnsRecord(f"default._domainkey.{ZONE}", "TXT", "v=DKIM1; k=rsa; p=MIIB")
OTHER = DnsRecord(f"_sip._tcp.{ZONE}", "SRV", "1 1 5061 sip.example.net")
STRICT = DnsRecord(f"_dmarc.{ZONE}", "TXT", "v=DMARC1; p=reject", editable=False)
WANTED = record("TXT", f"_dmarc.{ZONE}", "v=DMARC1; p=none; rua=mailto:dmarc@ops.example")
MINE = DnsRecord(f"_dmarc.{ZONE}", "TXT", WANTED.value)


def test_the_record_is_replaced_in_its_place_and_every_other_row_stays_as_it_was_read() -> None:
    assert planned([MX, SPF, STRICT, OTHER, KEY], ZONE, WANTED) == [MX, SPF, MINE, OTHER, KEY]


def test_a_missing_one_is_added_and_of_two_one_is_left() -> None:
    assert planned([MX, SPF, KEY], ZONE, WANTED) == [MX, SPF, KEY, MINE]
    double = DnsRecord(STRICT.name, "TXT", "v=DMARC1; p=quarantine")
    assert planned([MX, STRICT, SPF, double, KEY], ZONE, WANTED) == [MX, MINE, SPF, KEY]


def test_a_set_that_lacks_what_mail_needs_is_not_written() -> None:
    for lacking in (MX, SPF, KEY):
        assert planned([row for row in (MX, SPF, KEY, STRICT) if row != lacking], ZONE, WANTED) == []
