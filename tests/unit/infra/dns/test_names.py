"""Names in one spelling."""

from __future__ import annotations

import pytest

from infra.dns.names import BadName, absolute, canonical, display, is_within, parents, registrable


@pytest.mark.parametrize(
    "written, spelled",
    [
        ("GetAcme.COM.", "getacme.com"),
        (" _dmarc.getacme.com ", "_dmarc.getacme.com"),
        ("*.getacme.com", "*.getacme.com"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_name_has_one_spelling(written: str, spelled: str) -> None:
    assert canonical(written) == spelled


@pytest.mark.parametrize(
    "written", ["", ".", "a..b", "a b.com", "tab\there.com", "x" * 64 + ".com", "a." * 127 + "com"]
)
def test_what_is_no_name_is_refused(written: str) -> None:
    with pytest.raises(BadName):
        canonical(written)


def test_a_label_of_63_and_a_name_of_253_are_names() -> None:
    longest = ".".join(["x" * 63] * 3 + ["x" * 61])

    assert len(longest) == 253
    assert canonical(longest) == longest


def test_people_see_their_own_script_and_never_an_error() -> None:
    assert display("xn--bcher-kva.example") == "bücher.example"
    assert display("xn--a.example") == "xn--a.example"


@pytest.mark.parametrize(
    "host, name",
    [
        ("@", "getacme.com"),
        ("", "getacme.com"),
        ("getacme.com", "getacme.com"),
        ("_dmarc", "_dmarc.getacme.com"),
        ("Google._DomainKey", "google._domainkey.getacme.com"),
        ("_dmarc.getacme.com", "_dmarc.getacme.com"),
        ("mail.elsewhere.com.", "mail.elsewhere.com"),
        ("notgetacme.com", "notgetacme.com.getacme.com"),
    ],
)
def test_a_platforms_host_is_understood_in_its_zone(host: str, name: str) -> None:
    assert absolute(host, "getacme.com") == name


def test_a_name_that_only_ends_alike_is_not_within_a_zone() -> None:
    assert is_within("a.getacme.com", "getacme.com")
    assert is_within("getacme.com", "getacme.com")
    assert not is_within("notgetacme.com", "getacme.com")


@pytest.mark.parametrize(
    "name, owned",
    [
        ("getacme.com", "getacme.com"),
        ("Mail.GetAcme.com.", "getacme.com"),
        ("www.getacme.co.uk", "getacme.co.uk"),
        ("acme.github.io", "github.io"),  # a suffix that its owner keeps apart, not one that names are sold under
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("co.uk", None),
        ("com", None),
    ],
)
def test_the_registered_part_of_a_name(name: str, owned: str | None) -> None:
    assert registrable(name) == owned


def test_parents_come_nearest_first() -> None:
    assert list(parents("a.b.example.com")) == ["b.example.com", "example.com", "com"]
    assert list(parents("com")) == []
