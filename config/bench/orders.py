"""Orders for the benchmarks: drafted as the wizard drafts them, and paid."""

from __future__ import annotations

from django.utils import timezone

from billing.models import Checkout, Payment
from infra import clock
from infra.models import NameAnswer, NameCheck, Provision, Tier, User
from infra.wizard import drafts
from provisioning import actions
from provisioning.models import Run


def draft(name: str) -> Provision:
    """Return a complete draft of the Starter package, made as the wizard makes it."""
    student = User.objects.create_user(
        f"{name}@students.example", "bench", first_name="Ada", last_name="Bench", cohort="bench", is_enrolled=True
    )
    provision = drafts.choose_package(Provision(student=student), tier=Tier.objects.get(slug="starter"))
    drafts.set_brand(provision, brand=name, main_domain="")
    names = drafts.suggested(provision)[: drafts.chunk_size(provision)]
    now = clock.vendor_now()
    NameCheck.objects.bulk_create(
        NameCheck(name=one, answer=NameAnswer.AVAILABLE, price_cents=1299, renewal_cents=1499, checked_at=now)
        for one in names
    )
    drafts.select(provision, chosen=names[:3], spares=names[3:4], prices=dict.fromkeys(names, (1299, 1499)))
    drafts.name_mailboxes(provision, first_name="Ada", last_name="Bench", patterns=["ada", "ada.bench"])
    return provision


def paid(name: str) -> Run:
    """Return the run of a new order of the Starter package that has just been paid."""
    return pay(draft(name))


def pay(provision: Provision) -> Run:
    """Return the run of a draft that has just been paid."""
    provision = actions.freeze_order(provision=provision, actor="bench")
    checkout = Checkout.objects.create(
        provision=provision,
        student=provision.student,
        state=Checkout.State.PAID,
        session_id=f"cs_{provision.reference}",
        amount_cents=14400,
        expires_at=timezone.now(),
    )
    Payment.objects.create(
        provision=provision,
        student=provision.student,
        checkout=checkout,
        stripe_invoice_id=f"in_{provision.reference}",
        amount_cents=14400,
        paid_at=timezone.now(),
    )
    return actions.start_run(provision=provision, actor="bench", paid_at=timezone.now())
