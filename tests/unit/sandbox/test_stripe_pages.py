"""Section 6 of platforms/stripe.md, "hosted payment page (pay, decline, pay later, cancel)"."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from integrations.sandbox import Request
from tests.unit.sandbox.stripe_sdk import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


class Page(HTMLParser):
    """What a plain client sees of a page: buttons, headings, and what a strict policy would refuse."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.buttons: list[str] = []
        self.forms: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.ids: set[str] = set()
        self.described: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(given)
        self.ids |= {given["id"] or ""} if "id" in given else set()
        self.described |= {given["aria-describedby"] or ""} if "aria-describedby" in given else set()
        if tag == "form":
            self.forms.append(given)
        if tag == "button":
            self.buttons.append(given.get("value") or "")


def test_the_page_shows_what_is_bought_and_that_it_is_simulated(shop: Shop) -> None:
    response = shop.page(shop.checkout().id)
    html = response.body.decode()
    page = Page(html)
    assert "Simulated payment page" in html
    assert "144.00 USD" in html
    assert "ann@example.org" in html
    assert page.buttons == ["pay", "decline", "later", "cancel"]
    assert page.forms == [{"method": "post"}]


def test_the_page_stands_a_strict_policy_and_names_its_parts(shop: Shop) -> None:
    response = shop.page(shop.checkout().id)
    page = Page(response.body.decode())
    assert "script" not in page.tags
    assert not [name for name in page.attributes if name == "style" or name.startswith("on")]
    assert (page.tags.count("h1"), page.tags.count("main"), page.tags.count("header")) == (1, 1, 1)
    assert page.described <= page.ids
    assert "form-action 'self' http://shop.test" in response.headers["content-security-policy"]
    style = shop.sandbox.handle(Request.to("GET", "/stripe/pay.css"))
    assert style.headers["content-type"].startswith("text/css")


def test_what_a_seller_typed_is_escaped(shop: Shop) -> None:
    shop.v1.products.update("prod_starter", {"name": "<b>Bold</b>"})
    html = shop.page(shop.checkout().id).body.decode()
    assert "<b>Bold" not in html
    assert "&lt;b&gt;Bold" in html


def test_pay_returns_to_the_success_address_with_the_session_id(shop: Shop) -> None:
    session = shop.checkout()
    response = shop.press(session.id, "pay")
    assert (response.status, response.headers["location"]) == (
        303,
        f"http://shop.test/return/?session_id={session.id}",
    )
    html = shop.page(session.id).body.decode()
    assert "Paid 144.00 USD" in html
    assert Page(html).buttons == []


def test_decline_says_so_and_leaves_the_session_open(shop: Shop) -> None:
    session = shop.checkout()
    response = shop.press(session.id, "decline")
    html = response.body.decode()
    assert response.status == 200
    assert 'role="alert"' in html
    assert "Your card was declined" in html
    assert "<title>Error: " in html
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert shop.press(session.id, "pay").status == 303


def test_cancel_returns_to_the_cancel_address_and_leaves_the_session_open(shop: Shop) -> None:
    session = shop.checkout()
    response = shop.press(session.id, "cancel")
    assert (response.status, response.headers["location"]) == (303, "http://shop.test/cancel/")
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_pay_later_offers_both_ends_of_the_debit(shop: Shop) -> None:
    session = shop.checkout()
    assert shop.press(session.id, "later").status == 303
    assert Page(shop.page(session.id).body.decode()).buttons == ["debit_succeeds", "debit_fails"]
    assert "Paid" in shop.press(session.id, "debit_succeeds").body.decode()


def test_a_paid_invoice_has_a_receipt_page(shop: Shop) -> None:
    address = shop.v1.invoices.retrieve(shop.paid().invoice).hosted_invoice_url
    page = shop.sandbox.handle(Request.to("GET", str(address)))
    assert (page.status, b"144.00 USD" in page.body) == (200, True)
    assert shop.sandbox.handle(Request.to("GET", "/stripe/receipt/in_none")).status == 404


def test_paying_twice_pays_once(shop: Shop) -> None:
    session = shop.checkout()
    shop.press(session.id, "pay")
    assert "not open" in shop.press(session.id, "pay").body.decode()
    assert len(shop.sandbox.world.stripe["charges"]) == 1


def test_an_expired_session_can_not_be_paid(shop: Shop) -> None:
    session = shop.checkout()
    shop.v1.checkout.sessions.expire(session.id)
    assert "has expired" in shop.page(session.id).body.decode()
    shop.press(session.id, "pay")
    assert not shop.sandbox.world.stripe["charges"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/stripe/pay/cs_none", b"", 404),
        ("GET", "/stripe/elsewhere", b"", 404),
        ("POST", "/stripe/pay/{id}", b"action=steal", 400),
        ("POST", "/stripe/pay/{id}", b"", 400),
        ("POST", "/stripe/pay/{id}", b"\xff\xfe", 400),
        ("DELETE", "/stripe/pay/{id}", b"", 405),
    ],
)
def test_bad_input_to_the_page_is_4xx(shop: Shop, method: str, path: str, body: bytes, status: int) -> None:
    session = shop.checkout()
    response = shop.sandbox.handle(Request.to(method, path.format(id=session.id), body=body))
    assert response.status == status
    assert b"<h1>" in response.body
