"""What people and payments may do to an order and its runs. Keyword-only, actor named, atomic, an event inside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from infra import clock, naming, people, rls
from infra.models import (
    UNRESOLVED,
    Credential,
    Domain,
    DomainHold,
    DomainState,
    Flag,
    Mail,
    Mailbox,
    MailboxState,
    NameAnswer,
    NameCheck,
    OperationState,
    OperatorItem,
    OrderLine,
    Origin,
    Provision,
    ProvisionState,
    Registration,
    RunKind,
    RunState,
    StepState,
    Tier,
    User,
)
from infra.models.domain import HELD
from integrations.http.call import Proof

from .engine import accounts, doorbell, questions, substitution
from .engine.entries import BadEntry, Entry
from .engine.ledger import UNDECIDABLE
from .engine.outcomes import NewCredential, WaitsOn
from .engine.recorder import take_dates
from .engine.specs import Scope
from .models import ACTIVE_RUN, BUILDS, NOT_BUILT, OPEN_STEP, Circuit, Event, Operation, OperationItem, Run, Step
from .queries import building_run
from .stacks import STACKS, pipeline_of, registrar_of
from .steps import owning
from .steps.common import RETRIED
from .steps.workspace import registering

ABOUT_BUILDING = ("step", "set_aside", "wallet_short", "run_failed", "run_crashes")
EDITABLE = (ProvisionState.DRAFT, ProvisionState.PENDING_PAYMENT)
PEOPLE = (WaitsOn.OPERATOR, WaitsOn.FUNDS)  # waits that an operator may end


class Refused(Exception):
    """The action is not possible now. The sentence is for the person who asked."""


# ---- ordering --------------------------------------------------------------------------------------------------------


def freeze_order(*, provision: Provision, actor: str, now: datetime | None = None) -> Provision:
    """Freeze tier contents, prices, domains and mailboxes at "pay". May be repeated while nothing is paid.

    Raises Refused with the student's sentence when the order is not complete or a name was ordered by somebody else.
    """
    now = now or timezone.now()
    with transaction.atomic():
        provision = (
            Provision.objects.select_for_update(of=("self",))
            .select_related("tier", "student", "enlarges")
            .get(pk=provision.pk)
        )
        if provision.state not in EDITABLE or provision.paid_at:
            raise Refused(_("This order is paid already and cannot be changed."))
        tier = provision.tier
        if tier is None or not tier.is_active:
            raise Refused(_("This package is no longer offered. Please choose another one."))
        chosen = list(provision.domains.filter(state=DomainState.SELECTED).order_by("position", "name"))
        spares = list(provision.domains.filter(state=DomainState.SPARE).order_by("position", "name"))
        # What is added is built where the set-up is, whatever has been connected since.
        own_accounts = (
            list(provision.enlarges.order.get(accounts.FROZEN, ()))
            if provision.enlarges
            else _own_accounts(provision.student, tier.stack)
        )
        domain_count, mailbox_count = provision.adds(len(chosen))
        if len(chosen) != domain_count:
            raise Refused(_("Please choose exactly %(count)d domains.") % {"count": domain_count})
        there = int(provision.enlarges.order["domain_count"]) if provision.enlarges else 0
        quantity = tier.quantity(there + domain_count)
        if provision.enlarges is not None:
            _make_room(provision.enlarges, [one.name for one in chosen + spares])
        if bought := [one for one in chosen + spares if not one.is_own]:
            _freeze_prices(tier, bought)
        _freeze_wishes(provision, chosen, own_accounts)
        try:
            with transaction.atomic():
                # Always in one order, so that two students who order the same names never wait for each other.
                for domain in sorted(chosen + spares, key=lambda one: one.name):
                    _order_name(domain, now)
                _plan_mailboxes(provision, tier, chosen, mailbox_count)
        except IntegrityError as error:
            raise Refused(
                _("One of these names has just been ordered by somebody else. Please choose another.")
            ) from error
        provision.order = {
            **_contents(provision, tier, [*chosen, *spares], domain_count, quantity),
            "mailbox_count": mailbox_count,
            **({accounts.FROZEN: own_accounts} if own_accounts else {}),
        }
        provision.frozen_at = now
        provision.state = ProvisionState.PENDING_PAYMENT
        provision.save()
        note(provision, "frozen", actor=actor)
    return provision


def _contents(
    provision: Provision, tier: Tier, domains: Sequence[Domain], domain_count: int, quantity: int
) -> dict[str, Any]:
    """Return what an order keeps of its package, its prices and its student, whatever becomes of those.

    `domains`: chosen ones and spares; `domain_count`: of the chosen ones; `quantity`: what is paid for each month.
    """
    setup_fee = setup_fee_cents(provision, tier.quantity(domain_count))
    return {
        "tier": tier.slug,
        "tier_name": tier.name,
        "stack": tier.stack,
        "domain_count": domain_count,
        "dedicated_ip_count": tier.dedicated_ip_count,
        "quantity": quantity,
        "is_by_domain": tier.domain_count_max is not None,
        "setup_fee_cents": setup_fee,
        "monthly_fee_cents": tier.monthly_fee_cents * quantity,
        "currency": tier.currency,
        "domain_price_cap_cents": tier.domain_price_cap_cents,
        "domain_prices": {domain.name: domain.price_cents for domain in domains},
        "refund_share_cents": setup_fee // domain_count,
        "warmup": tier.warmup,
        "warmup_days": tier.warmup_days,
        "dmarc_policy": tier.dmarc_policy,
        "instructions": tier.instructions,
        "student_email": provision.student.email,
        "student_name": provision.student.full_name,
        "first_name": provision.sender_first_name,
        "last_name": provision.sender_last_name,
    }


def _own_accounts(student: User, stack: str) -> list[str]:
    """Return at which platforms an order works in the student's own account, from now on for good. Raises Refused."""
    platforms = STACKS[stack].connections
    own, unfinished = accounts.to_freeze(student, (*platforms, *STACKS[stack].helpers))
    for one in unfinished:
        said = {"platform": one.get_platform_display()}
        if one.state == one.State.REFUSED:
            raise Refused(_("Your account at %(platform)s refuses us. Look at your accounts before you pay.") % said)
        raise Refused(_("Your account at %(platform)s is not checked yet. Please wait a moment, then pay.") % said)
    for slug in platforms:
        if slug not in own and not accounts.operator_has(slug):
            raise Refused(_("Please connect your accounts before you pay."))
    return own


def _order_name(domain: Domain, now: datetime) -> None:
    """Make a name live. Raises Refused for an own one that is live for somebody else, IntegrityError for others."""
    domain.ordered_at = now
    try:
        with transaction.atomic():
            domain.save()
    except IntegrityError as error:
        if domain.is_own:
            raise Refused(own_name_taken(domain.name)) from error
        raise


def own_name_taken(name: str) -> str:
    """Say that a domain is part of another student's set-up already."""
    return _("%(name)s is part of another set-up here. If it is yours, please write to the operator.") % {"name": name}


def _make_room(live: Provision, names: Sequence[str]) -> None:
    """Let spares that a set-up did not need become names of its upgrade. Raises Refused for a name that it has had."""
    mine = live.domains.filter(name__in=names)
    mine.filter(state=DomainState.SPARE).delete()
    if had := mine.values_list("name", flat=True).first():
        raise Refused(_("%(name)s has been part of this set-up already. Please choose another name.") % {"name": had})


def setup_fee_cents(provision: Provision, quantity: int = 1) -> int:
    """Return what is due once for an order: the package's fee, less what was paid for the set-up that it enlarges. Where
    it is due by the domain, it is that of the `quantity` of domains that are added."""
    fee = provision.tier.setup_fee_cents * quantity if provision.tier else 0
    is_by_domain = provision.tier is not None and provision.tier.domain_count_max is not None
    if provision.enlarges is None or is_by_domain:
        return fee
    return max(0, fee - int(provision.enlarges.order["setup_fee_cents"]))


def _freeze_prices(tier: Tier, domains: Sequence[Domain]) -> None:
    asked = NameCheck.objects.filter(
        platform=registrar_of(tier.stack).platform, name__in=[domain.name for domain in domains]
    )
    checks = {check.name: check for check in asked}
    for domain in domains:
        check = checks.get(domain.name)
        if check is None or check.answer == NameAnswer.CHECKING:
            continue
        if check.answer != NameAnswer.AVAILABLE or check.price_cents > tier.domain_price_cap_cents:
            raise Refused(_("%(name)s is no longer available for this package.") % {"name": domain.name})
        domain.price_cents, domain.renewal_cents = check.price_cents, check.renewal_cents


def _freeze_wishes(provision: Provision, domains: Sequence[Domain], own_accounts: Sequence[str]) -> None:
    """Freeze what the student agreed to for the names that are to be registered in an account of their own."""
    rows = {row.name: row for row in provision.registrations.filter(state=Registration.State.AGREED)}
    for domain in domains:
        row = rows.get(domain.name) if domain.is_own else None
        domain.facts = {name: fact for name, fact in domain.facts.items() if name != registering.WISH}
        if row is None or row.agreed_at is None:
            continue
        if not registering.is_offered():
            raise Refused(
                _("%(name)s cannot be registered here at the moment. Take it off your order, or ask the operator.")
                % {"name": domain.name}
            )
        works = accounts.good(provision.student_id, registering.PLATFORM)
        if registering.PLATFORM not in own_accounts or works is None:
            raise Refused(
                _("%(name)s is to be registered in your GoDaddy account, which is not connected any more.")
                % {"name": domain.name}
            )
        kinds = tuple(kind for kind, _title, _url in row.agreements)
        wish = registering.Wish(row.price_cents, row.currency, kinds, row.agreed_at.isoformat(), row.agreed_from or "")
        domain.facts[registering.WISH] = asdict(wish)


def _plan_mailboxes(provision: Provision, tier: Tier, domains: Sequence[Domain], count: int) -> None:
    provision.mailboxes.all().delete()
    by_name = {domain.name: domain for domain in domains}
    for one in planned(provision, tier, list(by_name), count):
        Mailbox.objects.create(
            provision=provision,
            domain=by_name[one.domain],
            student_id=provision.student_id,
            username=one.username,
            address=one.address,
            first_name=one.person.first_name,
            last_name=one.person.last_name,
            daily_limit=one.person.daily_limit,
            position=one.position,
        )


def named_people(provision: Provision, tier: Tier) -> list[people.Person]:
    """Return the people who are named one by one for an order, where its package takes any."""
    return [people.Person.of(row) for row in provision.people] if STACKS[tier.stack].takes_people else []


def most_a_day(tier: Tier) -> int:
    """Return how many campaign mails a day a mailbox of a package sends at most."""
    return int(tier.warmup.get("campaign_daily_limit", 30))


def planned(provision: Provision, tier: Tier, names: Sequence[str], count: int) -> list[people.Planned]:
    """Return the mailboxes that an order makes on the domains `names`. Raises Refused where what was answered makes none."""
    named = named_people(provision, tier)
    if named:
        if problem := people.count_problem(len(named), len(names), count):
            raise Refused(_(problem.template) % problem.params)
        if over := people.over(named, most_a_day(tier)):
            told = {"names": ", ".join(one.name for one in over), "most": most_a_day(tier)}
            raise Refused(_("%(names)s: this package sends %(most)s mails a day from a mailbox at most.") % told)
        return people.deal(named, names, count)
    if naming.patterns_needed(count, len(names)) > len(provision.mailbox_patterns):
        raise Refused(_("Please name %(count)d mailboxes.") % {"count": naming.patterns_needed(count, len(names))})
    sender = people.Person(provision.sender_first_name, provision.sender_last_name)
    addresses = naming.plan_addresses(provision.mailbox_patterns, names, count)
    return [people.Planned(one.username, one.domain, one.position, sender) for one in addresses]


def thaw_order(*, provision: Provision, actor: str) -> None:
    """Make an unpaid order editable again: names are no longer live, planned mailboxes go."""
    with transaction.atomic():
        provision = Provision.objects.select_for_update(of=("self",)).get(pk=provision.pk)
        if provision.state != ProvisionState.PENDING_PAYMENT or provision.paid_at:
            return
        provision.mailboxes.all().delete()
        provision.domains.update(ordered_at=None)
        provision.state, provision.frozen_at, provision.order = ProvisionState.DRAFT, None, {}
        provision.save()
        note(provision, "thawed", actor=actor)


def start_run(*, provision: Provision, kind: str = RunKind.SETUP, actor: str, paid_at: datetime | None = None) -> Run:
    """Start building what was paid for; return the run. Calling it again returns the same run."""
    with transaction.atomic():
        provision = Provision.objects.select_for_update(of=("self",)).select_related("student").get(pk=provision.pk)
        existing = provision.runs.filter(kind=kind).exclude(state=RunState.CANCELLED).first()
        if existing is not None:
            return existing
        if provision.state in ENDED:
            raise Refused(_("This order was cancelled or suspended: nothing is built for it."))
        if not provision.frozen_at:
            raise Refused(_("This order has not been frozen."))
        stack = STACKS[provision.order["stack"]]
        paid_at = paid_at or timezone.now()
        run = Run.objects.create(
            provision=provision,
            student_id=provision.student_id,
            kind=kind,
            stack=stack.key,
            stack_version=stack.version,
            order=provision.order,
            paid_at=paid_at,
        )
        _make_rows(run)
        for row_kind, amount in (
            (OrderLine.Kind.SETUP, provision.order["setup_fee_cents"]),
            (OrderLine.Kind.MONTHLY, provision.order["monthly_fee_cents"]),
        ):
            OrderLine.objects.get_or_create(
                provision=provision,
                kind=row_kind,
                defaults={
                    "student_id": provision.student_id,
                    "amount_cents": amount,
                    "currency": provision.order["currency"],
                },
            )
        provision.state = ProvisionState.PROVISIONING
        provision.paid_at = provision.paid_at or paid_at
        provision.save()
        DomainHold.let_go(provision)
        note(provision, "run_started", run=run, actor=actor)
        doorbell.ring("runs")
    return run


def _make_rows(run: Run) -> None:
    # What was frozen is what is built, whatever else may hang on the order.
    frozen = run.provision.domains.filter(name__in=run.order["domain_prices"], ordered_at__isnull=False)
    domains = list(frozen.filter(state=DomainState.SELECTED))
    if len(domains) != run.order["domain_count"]:
        raise Refused(_("This order does not hold the domains that were paid for."))
    make_rows(run, domains, list(run.provision.mailboxes.filter(domain__in=domains)))


def make_rows(run: Run, domains: Sequence[Domain], mailboxes: Sequence[Mailbox]) -> None:
    """Make the rows of a run up front: one for each step of its pipeline and each item that the step is about."""
    items: Mapping[Scope, Sequence[Mapping[str, Any]]] = {
        Scope.RUN: [{}],
        Scope.DOMAIN: [{"domain": domain, "item_key": str(domain.pk)} for domain in domains],
        Scope.MAILBOX: [{"mailbox": mailbox, "item_key": str(mailbox.pk)} for mailbox in mailboxes],
    }
    Step.objects.bulk_create(
        Step(run=run, student_id=run.student_id, key=spec.key, position=position, **item)
        for position, spec in enumerate(pipeline_of(run).steps)
        for item in items[spec.scope]
        if "domain" not in item or spec.is_about(item["domain"].origin)
    )


# ---- the student's choices -------------------------------------------------------------------------------------------


def choose_replacement(*, provision: Provision, domain: Domain, name: str, actor: str) -> Domain:
    """Put a name of the student's choice in the place of a lost one. Raises Refused with a sentence."""
    with rls.acting_as("worker"), transaction.atomic():
        run = _open_run(provision)
        row = _open_question(run, domain)
        registrar = STACKS[run.stack].registrar
        if registrar is None:
            return _replace_with_own(run, row, domain, name, actor)
        check = NameCheck.objects.filter(platform=registrar.platform, name=name).first()
        cap = run.order["domain_price_cap_cents"]
        if check is None or check.answer != NameAnswer.AVAILABLE or check.price_cents > cap:
            raise Refused(_("%(name)s is not available for this package. Please choose another name.") % {"name": name})
        try:
            with transaction.atomic():
                substitute, created = Domain.objects.get_or_create(
                    provision=provision,
                    name=name,
                    defaults={"student_id": provision.student_id, "price_cents": check.price_cents},
                )
                if substitute.state == DomainState.LOST:
                    raise Refused(_("%(name)s was lost already. Please choose another name.") % {"name": name})
                if not created and substitute.state != DomainState.SPARE:
                    raise Refused(
                        _("%(name)s is part of your order already. Please choose another name.") % {"name": name}
                    )
                substitute.renewal_cents = check.renewal_cents
                reason = _own_left_out(name) if domain.is_own else _("The name was lost; another one was chosen.")
                steps = pipeline_of(run).steps
                substitution.replace(run, domain, substitute, steps=steps, reason=reason)
        except IntegrityError as error:
            raise Refused(_("%(name)s has just been ordered by somebody else.") % {"name": name}) from error
        _note_replaced(run, row, domain, name, actor)
    return substitute


def _replace_with_own(run: Run, row: Step, domain: Domain, name: str, actor: str) -> Domain:
    """Put another domain that the student owns in the place of one that cannot be had. Raises Refused."""
    provision = run.provision
    if provision.domains.filter(name=name).exists():
        raise Refused(_("%(name)s is part of your order already. Please choose another name.") % {"name": name})
    substitute = Domain(provision=provision, student_id=provision.student_id, name=name, origin=Origin.OWN)
    reason = _own_left_out(name)
    try:
        with transaction.atomic():
            substitution.replace(run, domain, substitute, steps=pipeline_of(run).steps, reason=reason)
    except IntegrityError as error:
        raise Refused(own_name_taken(name)) from error
    _note_replaced(run, row, domain, name, actor)
    return substitute


def _note_replaced(run: Run, row: Step, domain: Domain, name: str, actor: str) -> None:
    _note_step(run, row, StepState.FAILED, actor=actor, reason=name)
    questions.close_answered(run, resolution=f"{name} was chosen by {actor}")
    note(run.provision, "replacement_chosen", run=run, actor=actor, item=domain.name, sentence=name)
    wake(run)


def drop_domain(*, provision: Provision, domain: Domain, actor: str) -> None:
    """Go on without a lost domain; its share of the set-up fee is refunded."""
    with rls.acting_as("worker"), transaction.atomic():
        run = _open_run(provision)
        row = _open_question(run, domain)
        _note_step(run, row, StepState.FAILED, actor=actor, reason="dropped")
        lost = _("The name was lost and not replaced; its share is refunded.")
        own = _("Your own domain was left out; its share is refunded.")
        substitution.drop(run, domain, reason=own if domain.is_own else lost)
        questions.close_answered(run, resolution=f"left out by {actor}")
        note(provision, "domain_dropped", run=run, actor=actor, item=domain.name)
        wake(run)
        doorbell.ring("refunds")


def _own_left_out(name: str) -> str:
    return _("Your own domain was left out; %(name)s took its place.") % {"name": name}


# Questions about a domain that may also be answered with another name.
MAY_GO = ("choose_replacement", owning.QUESTION, owning.MAY_STOP, registering.QUESTION)


def let_stop(*, provision: Provision, domain: Domain, actor: str) -> None:
    """Note that what lies at a student's own domain today, mail above all, may stop; then its servers are named.

    Raises Refused when nobody asks.
    """
    with rls.acting_as("worker"), transaction.atomic():
        run = _open_run(provision)
        row = _open_question(run, domain)
        if row.facts.get("question") != owning.MAY_STOP:
            raise Refused(_("There is nothing to choose for this domain any more."))
        domain = provision.domains.select_for_update(of=("self",)).get(pk=domain.pk)
        domain.facts = {**domain.facts, "may_stop_at": clock.vendor_now().isoformat()}
        domain.save(update_fields=["facts", "updated_at"])
        note(provision, "may_stop", run=run, actor=actor, item=domain.name)
        wake(run, rows=run.steps.filter(pk=row.pk))


def register_again(
    *, provision: Provision, domain: Domain, terms: Mapping[str, Any] | None, address: str, actor: str
) -> None:
    """Have a name registered after all: what stood in the way was mended, or its student agrees to what GoDaddy asks now.

    terms    what the page showed that GoDaddy asks now; None where it showed nothing else than what was agreed to
    address  where the click came from

    Raises Refused when nobody asks, or the page has shown other terms than those that stand.
    """
    with rls.acting_as("worker"), transaction.atomic():
        run, row, domain = _about_registering(provision, domain)
        facts = dict(domain.facts)
        asked = facts.pop(registering.TERMS, None)
        if (asked or None) != (terms or None):
            raise Refused(_("What GoDaddy asks has changed once more. Look at it again before you agree."))
        if asked:
            kinds = tuple(kind for kind, _title, _url in asked["agreements"])
            wish = registering.Wish(asked["cents"], asked["currency"], kinds, timezone.now().isoformat(), address)
            facts[registering.WISH] = asdict(wish)
        _forget_refusals(run, [row], natural_key=domain.name)
        _answer_registering(run, row, domain, facts, "register_again", actor)


def registered_by_hand(*, provision: Provision, domain: Domain, actor: str) -> None:
    """Take the student's word that they bought the name themselves: from now on it is a domain that they own, and where it
    leads shows whose it is. Raises Refused when nobody asks."""
    with rls.acting_as("worker"), transaction.atomic():
        run, row, domain = _about_registering(provision, domain)
        if domain.name in _unresolved(provision):
            raise Refused(_("GoDaddy has not said yet whether it registered this name. Have it tried again first."))
        gone = (registering.WISH, registering.TERMS, registering.ORDER)
        facts = {name: fact for name, fact in domain.facts.items() if name not in gone}
        _answer_registering(run, row, domain, facts, "registered_by_hand", actor)


def _about_registering(provision: Provision, domain: Domain) -> tuple[Run, Step, Domain]:
    run = _open_run(provision)
    row = _open_question(run, domain)
    if row.facts.get("question") != registering.QUESTION:
        raise Refused(_("There is nothing to choose for this domain any more."))
    return run, row, provision.domains.select_for_update(of=("self",)).get(pk=domain.pk)


def _answer_registering(run: Run, row: Step, domain: Domain, facts: Mapping[str, Any], kind: str, actor: str) -> None:
    answers = int(facts.get(registering.ANSWERS, 0)) + 1  # each is told of anew
    kept = {name: fact for name, fact in facts.items() if name != registering.ASKED}
    domain.facts = {**kept, registering.ANSWERS: answers}
    domain.save(update_fields=["facts", "updated_at"])
    note(run.provision, kind, run=run, actor=actor, item=domain.name)
    wake(run, rows=run.steps.filter(pk=row.pk))


def _open_question(run: Run, domain: Domain) -> Step:
    row = run.steps.select_for_update(of=("self",)).filter(domain=domain, state=StepState.WAITING).first()
    if row is None or row.facts.get("question") not in MAY_GO:
        raise Refused(_("There is nothing to choose for this domain any more."))
    return row


# ---- the operator's verbs ---------------------------------------------------------------------------------------------


def why_no_retry(run: Run) -> str:
    """Return why a run cannot be retried now, in a sentence for whoever asks; nothing when it can.

    A step that waits by itself needs no retry, and one that is being tried at this moment must not get a second hand.
    """
    if _is_over(run):
        return _("This order was cancelled or suspended: nothing is built for it.")
    if int(run.provision.order.get("domain_count", 0)) < int(run.order.get("domain_count", 0)):
        return _("The package has become smaller since: what was lacking is not part of it any more.")
    now = clock.machine_now()
    if run.state == RunState.RUNNING and run.lease_until is not None and run.lease_until > now:
        return _("The machine is working on this order at this moment. Look again in a minute.")
    if _another_is_active(run):
        return _("Another run of this order is under way.")
    if retryable(run):
        return ""
    if run.state in ACTIVE_RUN:
        return _("Nothing has failed: an automatic attempt is due.")
    return _("No step of this run has failed.")


ENDED = (ProvisionState.CANCELLED, ProvisionState.CANCELLING, ProvisionState.SUSPENDED)


def _is_over(run: Run) -> bool:
    """Tell whether nothing may be done for a run any more. What takes an order down goes on after its end."""
    return run.state == RunState.CANCELLED or (run.kind in BUILDS and run.provision.state in ENDED)


def retryable(run: Run) -> list[Step]:
    """Return the rows that a retry opens: failed ones and those that wait for an operator.

    A lost name stays lost, and what an operator skipped on purpose stays skipped.

    An operator's row whose own next look is due already is left to the machine.
    """
    failed = list(run.steps.filter(state=StepState.FAILED).exclude(failure_code__in=NOT_BUILT))
    now = clock.vendor_now()
    asked = run.steps.filter(state=StepState.WAITING, waits_on=WaitsOn.OPERATOR, next_attempt_at__gt=now)
    return [*failed, *asked]


def retry_failed_step(*, run: Run, actor: str, reason: str) -> int:
    """Try the failed steps of a run again; what is proven stays proven and nothing of it is sent again.

    Returns the number of rows that were opened. Raises Refused when nothing failed or the run is being worked on.
    """
    with transaction.atomic():
        run = lock(run)
        if refusal := why_no_retry(run):
            raise Refused(refusal)
        rows = retryable(run)
        _declare_absent(run, [row for row in rows if row.facts.get("code") == UNDECIDABLE], actor=actor)
        _try_again(run, rows, actor=actor, reason=reason)
    return len(rows)


TRIES = 3  # of one item, the first among them; what fails oftener is the operator's
AGAIN = "tried again by its student"


def set_aside_for_good(run: Run) -> set[str]:
    """Return the items that failed and that their student cannot have tried again, by key.

    Those are what has been tried so often that a person has to look, what a platform may have carried out all the same,
    and what is not to be built any more.
    """
    of_items = run.steps.exclude(item_key="").select_related("domain", "mailbox")
    failed = list(of_items.filter(state=StepState.FAILED))
    again = run.events.filter(kind="step", from_state=StepState.FAILED, to_state=StepState.PENDING)
    tried = dict(again.order_by().values_list("item").annotate(Count("pk")))
    unresolved = set(_unresolved(run.provision))
    boxes: dict[Any, set[str]] = defaultdict(set)
    for domain, address in run.provision.mailboxes.values_list("domain", "address"):
        boxes[domain].add(address)
    kept = {
        row.item_key
        for row in failed
        if row.failure_code in NOT_BUILT
        or 1 + tried.get(_item(row), 0) >= TRIES
        or unresolved & {_item(row), *boxes[row.domain_id]}
    }
    return kept | {row.item_key for row in failed if row.mailbox and str(row.mailbox.domain_id) in kept}


def second_tries(run: Run) -> list[Step]:
    """Return the rows of set-aside items that their student may have tried once more."""
    failed = run.steps.filter(state=StepState.FAILED)
    if failed.filter(item_key="").exists():
        return []  # the run itself has failed: that is the operator's
    return list(failed.exclude(item_key__in=set_aside_for_good(run)))


def retry_set_aside(*, provision: Provision, actor: str) -> int:
    """Let a student have tried once more what was set aside of their order; what goes on, goes on.

    Returns the number of items. Raises Refused with the student's sentence when there is nothing to try, or not now: of
    many presses one does it.
    """
    with rls.acting_as("worker"), transaction.atomic():
        newest = building_run(provision)
        if newest is None or not (rows := second_tries(run := lock(newest))):
            raise Refused(
                _("There is nothing to try again: it is being tried already, or the operator has to look at it.")
            )
        if why_not := why_no_retry(run):
            raise Refused(why_not)
        _try_again(run, rows, actor=actor, reason=AGAIN)
    return len(rows)


def _try_again(run: Run, rows: Sequence[Step], *, actor: str, reason: str) -> None:
    """Open these rows of a locked run, and let it go on."""
    _forget_refusals(run, rows)
    for row in sorted(rows, key=lambda one: one.domain_id is not None):  # a domain brings back what is not set aside
        _note_step(run, row, StepState.PENDING, actor=actor, reason=reason)
        if row.state == StepState.FAILED:
            _reopen_item(run, row)
        _reopen(row)
        OperatorItem.close("set_aside", key=str(row.pk), resolution=f"Retried by {actor}: {reason}")
    questions.close_answered(run, resolution=f"Retried by {actor}: {reason}")
    OperatorItem.close("run_failed", key=str(run.pk), resolution=f"Retried by {actor}: {reason}")
    note(run.provision, "retried", run=run, actor=actor, reason=reason)
    _build_on(run)


def _forget_refusals(run: Run, rows: Sequence[Step], **about: str) -> None:
    """Let what was refused to these steps be asked for again: a person says that this has changed."""
    steps = {row.key for row in rows}
    refused = OperationItem.objects.filter(operation__run=run, operation__step_key__in=steps, **about)
    refused.filter(state=OperationState.REJECTED).update(state=OperationState.NOT_DONE)


BEING_BUILT: Mapping[str, ProvisionState] = {
    RunKind.SETUP: ProvisionState.PROVISIONING,
    RunKind.UPGRADE: ProvisionState.UPGRADING,
}


def _build_on(run: Run) -> None:
    """Let a run go on, also one that had ended: its provision is being built again."""
    if run.state in (RunState.FAILED, RunState.DONE) and run.kind in BUILDS:
        Provision.objects.filter(pk=run.provision_id).update(state=BEING_BUILT[run.kind], parked_reason="")
    Run.objects.filter(pk=run.pk).update(failure_code="", failure_sentence="")
    wake(run)


def _reopen_item(run: Run, row: Step) -> None:
    """Bring a set-aside item back into the wave: the rows that were skipped with it are open again."""
    if not row.item_key:
        return
    mailboxes = _mailboxes_of(row)
    if row.domain:  # a mailbox that failed by itself comes back by itself
        apart = set(run.steps.filter(mailbox__in=mailboxes, state=StepState.FAILED).values_list("mailbox", flat=True))
        mailboxes = [mailbox for mailbox in mailboxes if mailbox.pk not in apart]
    keys = [row.item_key, *(str(mailbox.pk) for mailbox in mailboxes)]
    for skipped in run.steps.filter(state=StepState.SKIPPED, position__gte=row.position, item_key__in=keys):
        _reopen(skipped)
    items: list[Domain | Mailbox] = [*([row.domain] if row.domain else []), *mailboxes]
    if row.domain and run.kind == RunKind.CHANGE:
        items = []  # it was never set aside
    for item in items:
        item.state, item.reason = _state_before(run, item), ""
        item.save(update_fields=["state", "reason", "updated_at"])
    run.steps.filter(key="finish", state__in=[StepState.COMPLETED, StepState.SKIPPED]).update(
        state=StepState.PENDING, finished_at=None
    )


def _another_is_active(run: Run) -> bool:
    others = Run.objects.filter(provision=run.provision_id, state__in=ACTIVE_RUN, held_since__isnull=True)
    return others.exclude(pk=run.pk).exists()


def _mailboxes_of(row: Step) -> list[Mailbox]:
    """Return the mailboxes that come and go with a row's item."""
    if row.domain:
        return list(row.domain.mailboxes.exclude(state=MailboxState.REMOVED))
    return [row.mailbox] if row.mailbox else []


def _state_before(run: Run, item: Domain | Mailbox) -> str:
    """Return the state that an item's completed steps had brought it to."""
    done = set(run.steps.filter(item_key=str(item.pk), state=StepState.COMPLETED).values_list("key", flat=True))
    state: str = DomainState.SELECTED if isinstance(item, Domain) else MailboxState.PLANNED
    for spec in pipeline_of(run).steps:
        if spec.key in done and spec.ends:
            state = spec.ends
    return state


def _reopen(row: Step) -> None:
    # Steps that ask a platform a few times at most begin to count anew with each retry of ours.
    row.facts = {RETRIED: row.facts.get(RETRIED, 0) + 1} if row.state != StepState.SKIPPED else {}
    row.state, row.next_attempt_at, row.opened_at, row.finished_at = StepState.PENDING, None, None, None
    row.waits_on = row.why = row.failure_code = row.failure_sentence = ""
    row.errors = 0
    row.save()


def skip_item(*, run: Run, step: Step, actor: str, reason: str) -> None:
    """Go on without an item: it is set aside, and the run ends with an exception that says so."""
    with transaction.atomic():
        run = lock(run)
        step = run.steps.select_for_update(of=("self",)).get(pk=step.pk)
        if refusal := why_no_skip(run, step):
            raise Refused(refusal)
        sentence = (_("Skipped by the operator: %(reason)s") % {"reason": reason})[:300]
        mailboxes = _mailboxes_of(step)
        keys = [step.item_key, *(str(mailbox.pk) for mailbox in mailboxes)]
        _note_step(run, step, StepState.FAILED, actor=actor, reason=reason)
        step.state, step.failure_code, step.failure_sentence = StepState.FAILED, "skipped", sentence
        step.finished_at, step.next_attempt_at, step.waits_on = timezone.now(), None, ""
        step.save()
        rows = run.steps.filter(item_key__in=keys)
        rows.filter(state__in=OPEN_STEP).update(
            state=StepState.SKIPPED, why=sentence, waits_on="", finished_at=timezone.now(), next_attempt_at=None
        )
        questions.close_answered(run, resolution=f"Skipped by {actor}: {reason}")
        _close_money_alert(run, f"Skipped by {actor}: {reason}")
        if step.domain and run.kind == RunKind.CHANGE:
            mailboxes = []  # what works, works on without the change of its records
        elif step.domain:
            Domain.objects.filter(pk=step.domain.pk).update(state=DomainState.FAILED, reason=sentence)
        Mailbox.objects.filter(pk__in=[mailbox.pk for mailbox in mailboxes]).update(
            state=MailboxState.FAILED, reason=sentence
        )
        note(run.provision, "item_skipped", run=run, actor=actor, reason=reason, step_key=step.key, item=_item(step))
        wake(run)


def why_no_skip(run: Run, step: Step) -> str:
    """Return why a step's item cannot be skipped now; nothing when it can."""
    if not step.item_key:
        return _("This step belongs to the whole run and cannot be skipped.")
    if step.state not in OPEN_STEP:
        return _("This step is closed already.")
    if run.state not in ACTIVE_RUN:
        return _("This run has ended. If it failed, retry it first.")
    names = [_item(step), *(mailbox.address for mailbox in _mailboxes_of(step))]
    if set(names) & set(_unresolved(run.provision)):
        return _("Whether the platform carried out the last request for this is not known yet. Wait, or do it by hand.")
    return ""


def mark_done_by_hand(
    *,
    run: Run,
    step: Step,
    facts: Mapping[str, Any],
    actor: str,
    reason: str,
    credential: NewCredential | None = None,
) -> None:
    """Record that a person did a step at the platform.

    `facts` are what the step would have noted (its spec's `notes`), `credential` the login that it would have stored,
    `reason` the evidence. Raises Refused when the step is closed or something is missing that later steps need.
    """
    with transaction.atomic():
        run = lock(run)
        step = run.steps.select_for_update(of=("self",)).get(pk=step.pk)
        if refusal := why_not_by_hand(run, step):
            raise Refused(refusal)
        spec = pipeline_of(run).step(step.key)
        if missing := [name for name in spec.notes if facts.get(name) in (None, "")]:
            raise Refused(_("Later steps need these facts: %(names)s.") % {"names": ", ".join(missing)})
        if spec.login and credential is None:
            raise Refused(_("Later steps need the login and its password."))
        if spec.entry is not None:
            facts = _as_entered(spec.entry, facts)
        _note_step(run, step, StepState.COMPLETED, actor=actor, reason=reason)
        if step.state == StepState.FAILED:
            _reopen_item(run, step)
        _note_facts(run, step, facts)
        if credential is not None:
            Credential.objects.update_or_create(
                provision_id=run.provision_id,
                kind=credential.kind,
                defaults={
                    "student_id": run.student_id,
                    "login": credential.login,
                    "password": credential.password,
                },
            )
        step.state, step.finished_at, step.next_attempt_at = StepState.COMPLETED, timezone.now(), None
        step.waits_on = step.why = step.failure_code = step.failure_sentence = ""
        step.facts = {**step.facts, "by_hand": reason}
        step.save()
        _settle_by_hand(run, step, reason=reason, actor=actor)
        OperatorItem.close("run_failed", key=str(run.pk), resolution=f"Done by hand by {actor}: {reason}")
        questions.close_answered(run, resolution=f"Done by hand by {actor}: {reason}")
        OperatorItem.close("set_aside", key=str(step.pk), resolution=f"Done by hand by {actor}: {reason}")
        _close_money_alert(run, f"Done by hand by {actor}: {reason}")
        note(run.provision, "done_by_hand", run=run, actor=actor, reason=reason, step_key=step.key, item=_item(step))
        _build_on(run)


def _as_entered(entry: Entry, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the facts with what was entered as it is kept. Raises Refused where it cannot be it."""
    if entry.is_secret:
        return facts  # it is asked for on the page of the run
    try:
        return {**facts, entry.fact: entry.read(str(facts.get(entry.fact, "")))}
    except BadEntry as error:
        raise Refused(str(error)) from error


def why_not_by_hand(run: Run, step: Step) -> str:
    """Return why a step cannot be marked done by hand now; nothing when it can."""
    if step.state not in (*OPEN_STEP, StepState.FAILED) or step.failure_code == "name_lost":
        return _("This step is closed already.")
    if _is_over(run):
        return _("This order was cancelled or suspended: nothing is built for it.")
    if run.state in ACTIVE_RUN:
        return ""
    if step.state != StepState.FAILED:
        return _("This run has ended at another step.")
    if _another_is_active(run):
        return _("Another run of this order is under way.")
    return ""


def _close_money_alert(run: Run, resolution: str) -> None:
    if not run.steps.filter(state=StepState.WAITING, waits_on=WaitsOn.FUNDS).exists():
        OperatorItem.close("wallet_short", key=str(run.pk), resolution=resolution)


def _note_facts(run: Run, step: Step, facts: Mapping[str, Any]) -> None:
    """Write the facts to where the step itself would have written them."""
    spec = pipeline_of(run).step(step.key)
    owner: Domain | Mailbox | Provision = step.domain or step.mailbox or run.provision
    owner.refresh_from_db()
    owner.facts = {**owner.facts, **facts}
    if spec.ends and not isinstance(owner, Provision):
        owner.state = spec.ends
    if isinstance(owner, Domain):
        take_dates(owner, facts)
    if isinstance(owner, Mailbox) and owner.state == MailboxState.WARMING:
        owner.warmup_started_at = owner.warmup_started_at or clock.vendor_now()
    owner.save()


def _declare_absent(run: Run, rows: Sequence[Step], *, actor: str) -> None:
    """Take the operator's word that what nobody can read back is not there: it may be sent again."""
    lost = Q(state__in=UNRESOLVED, operation__run=run, operation__step_key__in={row.key for row in rows})
    items = OperationItem.objects.filter(lost, operation__proof=Proof.NONE, operation__repeatable=False)
    operations = list(items.values_list("operation_id", flat=True))
    items.update(state=OperationState.ABSENT, evidence={"looked": actor})
    Operation.objects.filter(pk__in=operations).update(state=OperationState.ABSENT, settled_at=clock.machine_now())


def _settle_by_hand(run: Run, step: Step, *, reason: str, actor: str) -> None:
    """Close what the step had asked for and nobody knows the end of: the person has seen it."""
    items = OperationItem.objects.filter(
        operation__run=run, operation__step_key=step.key, state__in=[*UNRESOLVED, OperationState.REJECTED]
    )
    if step.item_key:
        items = items.filter(natural_key=_item(step))
    operations = set(items.values_list("operation_id", flat=True))
    items.update(state=OperationState.DONE, evidence={"by_hand": reason, "actor": actor})
    for key in operations:
        if not OperationItem.objects.filter(operation=key, state__in=UNRESOLVED).exists():
            Operation.objects.filter(pk=key).update(state=OperationState.DONE, settled_at=clock.machine_now())


def cancel(*, provision: Provision, actor: str, reason: str) -> None:
    """Cancel an order: nothing more is bought or built; what exists at the platforms stays there."""
    with transaction.atomic():
        provision = stop_building(provision=provision, actor=actor, reason=reason)
        provision.state, provision.cancelled_at = ProvisionState.CANCELLED, timezone.now()
        provision.save()
        note(provision, "cancelled", actor=actor, reason=reason)
        Mail.post("cancelled", key=str(provision.pk), provision=provision)


def stop_building(*, provision: Provision, actor: str, reason: str) -> Provision:
    """End all work on an order for good, within the caller's transaction, which gives it a state; return it, locked.

    Names that were never bought are free for others again. Raises Refused.
    """
    # Runs before the provision, as the engine locks them.
    locked = set(provision.runs.select_for_update(of=("self",)).values_list("pk", flat=True))
    provision = Provision.objects.select_for_update(of=("self",)).get(pk=provision.pk)
    if provision.state == ProvisionState.CANCELLED:
        raise Refused(_("This order is cancelled already."))
    if set(provision.runs.values_list("pk", flat=True)) - locked:
        raise Refused(_("This order has just been paid, and building begins. Press once more to cancel it."))
    end_runs(provision, actor=actor)
    for draft in provision.extensions.exclude(state=ProvisionState.CANCELLED):
        give_up_extension(draft)
    open_items = sorted({*_unresolved(provision), *_not_written_down(provision)})
    # Of a name that may have been bought, that is not known: it is not given to others.
    unheld = provision.domains.exclude(HELD).exclude(state=DomainState.LOST)
    unheld.exclude(name__in=open_items).update(state=DomainState.RELEASED)
    Mailbox.objects.filter(provision=provision, state=MailboxState.PLANNED).update(state=MailboxState.REMOVED)
    DomainHold.let_go(provision)
    provision.parked_reason = ""
    # Only what is about building: an alert about money outlives the order.
    OperatorItem.objects.filter(provision=provision, kind__in=ABOUT_BUILDING, resolved_at__isnull=True).update(
        resolved_at=timezone.now(), resolution=f"Cancelled by {actor}: {reason}"[:300]
    )
    if open_items:
        OperatorItem.open(
            "cancelled_unresolved",
            key=str(provision.pk),
            sentence=f"{provision.reference} was cancelled while the outcome of these was not known, or not yet"
            f" written down; look at the platform: {', '.join(open_items)}",
            provision=provision,
        )
    return provision


def give_up_extension(draft: Provision) -> None:
    """Let a draft of an upgrade go, with its names; what was paid for it is billing's matter."""
    draft.mailboxes.all().delete()
    draft.domains.update(ordered_at=None)
    DomainHold.let_go(draft)
    draft.state, draft.cancelled_at = ProvisionState.CANCELLED, timezone.now()
    draft.save(update_fields=["state", "cancelled_at", "updated_at"])


def end_runs(provision: Provision, *, actor: str, pipelines: Sequence[str] = ()) -> None:
    """End the unfinished runs of an order, or those of `pipelines` alone, within the caller's transaction; whoever works on
    one writes nothing more."""
    unfinished = provision.runs.filter(state__in=[*ACTIVE_RUN, RunState.FAILED])
    unfinished = unfinished.filter(pipeline__in=pipelines) if pipelines else unfinished
    for run in unfinished:
        note(provision, "run", run=run, actor=actor, from_state=run.state, to_state=RunState.CANCELLED)
    unfinished.update(
        state=RunState.CANCELLED,
        token=F("token") + 1,  # fences off whoever works on it
        version=F("version") + 1,
        finished_at=timezone.now(),
        lease_until=None,
        next_attempt_at=None,
        held_since=None,
    )


def _unresolved(provision: Provision) -> list[str]:
    """Return what was asked of platforms for this order with an outcome that nobody knows."""
    items = OperationItem.objects.filter(operation__run__provision=provision, state__in=UNRESOLVED)
    return sorted(set(items.values_list("natural_key", flat=True)))


def _not_written_down(provision: Provision) -> set[str]:
    """Return what was just brought about for this order by steps that have not noted it yet."""
    rows = Step.objects.filter(run__provision=provision).exclude(state=StepState.COMPLETED)
    noting = {(row.run_id, row.key, _item(row)) for row in rows.select_related("domain", "mailbox")}
    done = OperationItem.objects.filter(operation__run__provision=provision, state=OperationState.DONE)
    return {
        item.natural_key
        for item in done.select_related("operation")
        for step in [(item.operation.run_id, item.operation.step_key)]
        if (*step, "") in noting or (*step, item.natural_key) in noting
    }


def pause_purchases(*, paused: bool, actor: str, reason: str, platform: str = "") -> None:
    """Throw or release the kill switch: while paused, nothing that costs money is sent (to `platform`, or anywhere).

    Raises Refused when it stands so already.
    """
    key = f"purchases:{platform}" if platform else "purchases"
    with transaction.atomic():
        flag, _created = Flag.objects.select_for_update().get_or_create(key=key)
        if paused == (flag.phase == Flag.Phase.OFF):
            raise Refused(_("Purchases are paused already.") if paused else _("Purchases are not paused."))
        flag.phase = Flag.Phase.OFF if paused else Flag.Phase.ALL
        flag.stopped_at = timezone.now() if paused else None
        flag.stopped_reason = f"{actor}: {reason}"[:300] if paused else ""
        flag.save()
        if paused:
            OperatorItem.open("purchases_paused", key=key, sentence=f"Purchases are paused: {reason}", actor=actor)
        else:
            OperatorItem.close("purchases_paused", key=key, resolution=f"Released by {actor}: {reason}")
            _wake_those_waiting_for_people()


def close_circuit(*, platform: str, actor: str, reason: str) -> None:
    """Let calls to a platform through again, e.g. after its key was mended; its runs go on at once.

    Raises Refused when calls go through already.
    """
    with transaction.atomic():
        closed = Circuit.objects.filter(pk=platform, is_open=True).update(
            is_open=False, reason="", failures=0, opened_at=None, try_again_at=None
        )
        if not closed:
            raise Refused(_("Calls to %(platform)s are not stopped.") % {"platform": platform})
        OperatorItem.close("circuit", key=platform, resolution=f"Closed by {actor}: {reason}")
        _wake_those_waiting_for_people()


def _wake_those_waiting_for_people() -> None:
    """Wake the runs that may go on because an operator has just done something."""
    waiting = Run.objects.filter(
        state__in=[RunState.WAITING, RunState.PARKED],
        pk__in=Step.objects.filter(state=StepState.WAITING, waits_on__in=PEOPLE).values("run"),
    )
    for run in waiting.select_for_update(of=("self",)).order_by("pk"):
        wake(run)


def resolve_operator_item(*, item: OperatorItem, actor: str, reason: str) -> None:
    """Say that a person has dealt with it. Nothing else happens: what the machine still sees, it says again."""
    with transaction.atomic():
        resolution = f"{actor}: {reason}"[:300]
        open_items = OperatorItem.objects.filter(pk=item.pk, resolved_at__isnull=True)
        if not open_items.update(resolved_at=timezone.now(), resolution=resolution):
            raise Refused(_("This was resolved already."))
        if item.provision is not None:
            note(item.provision, "item_resolved", actor=actor, reason=reason, sentence=item.sentence)


def check_now(*, provision: Provision, actor: User | str) -> bool:
    """Look again at once, if the run is only waiting for time to pass; return whether anything was woken."""
    with rls.acting_as("worker"), transaction.atomic():
        run = (
            provision.runs.select_for_update(of=("self",)).filter(state__in=[RunState.WAITING, RunState.PARKED]).first()
        )
        if run is None:
            return False
        polls = run.steps.filter(state=StepState.WAITING).exclude(waits_on="budget").exclude(facts__has_key="firm")
        wake(run, rows=polls)
    return True


# ---- small things -----------------------------------------------------------------------------------------------------


def _open_run(provision: Provision) -> Run:
    run = (
        Run.objects.select_for_update(of=("self",))
        .select_related("provision")
        .filter(provision=provision, state__in=[*ACTIVE_RUN])
        .first()
    )
    if run is None:
        raise Refused(_("Nothing is being built for this order at the moment."))
    return run


def lock(run: Run) -> Run:
    """Lock a run within the caller's transaction, and return it as it is now."""
    return Run.objects.select_for_update(of=("self",)).select_related("provision").get(pk=run.pk)


def wake(run: Run, rows: Any = None) -> None:
    """Make a run due now. The token is raised, so that whoever works on it at this moment writes nothing more."""
    rows = run.steps.filter(state=StepState.WAITING, waits_on__in=PEOPLE) if rows is None else rows
    rows.update(next_attempt_at=None)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.QUEUED,
        token=F("token") + 1,
        lease_until=None,
        rung_at=None,
        next_attempt_at=None,
        waits_on="",
        version=F("version") + 1,
        finished_at=None,
    )
    doorbell.ring("runs")


def note(provision: Provision, kind: str, *, run: Run | None = None, actor: str, **fields: str) -> None:
    """Write an event of an order."""
    Event.objects.create(
        provision=provision, run=run, student_id=provision.student_id, kind=kind, actor=str(actor)[:320], **fields
    )


def _item(step: Step) -> str:
    return str(step.domain or step.mailbox or "")


def _note_step(run: Run, row: Step, to_state: StepState, *, actor: str, reason: str) -> None:
    """Write the event of a row that a person moves."""
    note(
        run.provision,
        "step",
        run=run,
        actor=actor,
        reason=reason[:500],
        step_key=row.key,
        item=_item(row),
        from_state=row.state,
        to_state=to_state,
    )
