"""One wake-up of a run: claim, give each step the items that are ready, write what it answers, release.

A step function acts through the ledger and returns outcomes; it never saves, sleeps or schedules. What it raises becomes
an outcome in one table, `outcome_of`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from django.conf import settings
from django.db import InterfaceError, OperationalError

from infra import clock
from infra.clock import VendorInstant
from infra.dns.resolver import NameServers, reach, servers
from infra.models import Domain, DomainState, Mailbox, OperatorItem, RunKind
from infra.models.domain import GONE
from infra.prepared import Lookup
from integrations.http.delegated import Delegated
from integrations.http.either import EitherForm
from integrations.http.errors import (
    BadCredentials,
    NotConfigured,
    OutcomeUnknown,
    Permanent,
    PlatformError,
    RateLimited,
    Retryable,
    Unsupported,
)
from integrations.http.transport import HttpTransport, Transport
from integrations.mail_probe import MailProbe, Post
from integrations.mail_probe import Settings as ProbeSettings
from integrations.registry import Clients, build_clients

from ..models import Run, Step
from . import accounts, budget, claims
from .accounts import UPDATE_KEY, OwnAccountRefused
from .claims import Claim, LostClaim
from .context import Context, DomainItem, MailboxItem
from .ledger import UNDECIDABLE, Halted, Ledger, TimeSpent, Undecidable
from .looker import Looker
from .options import Options
from .outcomes import Done, Failed, NeedsOperator, NeedsStudent, Outcome, Outcomes, Wait, WaitsOn
from .reader import Reader
from .recorder import CRASHES_TO_PARK, LEISURE_SINCE, Recorder, load_wave
from .specs import MINUTE, Scope, StackSpec, StepSpec
from .timing import Timed, wakeup
from .wave import Wave

log = logging.getLogger(__name__)

WAKEUP = 120.0  # machine seconds a wake-up lasts at most
ADVICE_CAP = 15 * MINUTE  # vendor seconds: longer advice than this is not believed
BACKOFF = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0)  # vendor seconds by number of errors in a row
RUN = Lookup(lambda run: Run.objects.filter(pk=run).select_related("provision", "provision__student"))
APART = (*GONE, DomainState.SPARE)  # domains that are no part of what an order has
NOTHING_LEFT = Failed("nothing_left", "Nothing that was ordered could be built.")
NOT_OUR_FAULT = (
    budget.NotNow,
    TimeSpent,
    Halted,
    RateLimited,
    Undecidable,
    OwnAccountRefused,
)  # waits, not errors: they cost no attempt


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a worker process builds with: the transport, the clients, the options, the name servers it asks, how it lets
    machine seconds pass where it may wait, and who sends test messages (nobody without a probe mailbox).

    Tests make their own.
    """

    transport: Transport
    clients: Clients
    options: Options
    name_servers: NameServers = field(default_factory=NameServers)
    wait: Callable[[float], None] = time.sleep
    post: Post | None = None


@lru_cache(maxsize=1)
def default_workshop() -> Workshop:
    """Return this process's workshop, made from the settings."""
    return Workshop(
        transport=Delegated(EitherForm(Timed(HttpTransport()))),
        clients=build_clients(settings.PLATFORMS),
        options=Options.from_mapping(settings.BUILD_OPTIONS),
        name_servers=default_name_servers(),
        post=default_post(),
    )


def default_post() -> Post | None:
    """Return who sends test messages in this installation; None where the settings name no probe mailbox."""
    found = ProbeSettings.from_mapping(settings.MAIL_PROBE)
    return MailProbe(found) if found is not None else None


def default_name_servers() -> NameServers:
    """Return whom this installation asks about names, from the settings. Raises ValueError."""
    return NameServers(
        servers(settings.DNS_RESOLVERS),
        servers(settings.DNS_AUTHORITATIVE, recursive=False),
        reach,
        settings.DNS_TIMEOUT,
        settings.DNS_SECONDS,
    )


def drain(limit: int = 10) -> int:
    """Wake up to `limit` due runs, oldest paid first. Answers the bell `runs`."""
    done = 0
    while done < limit and (claim := claims.take_next()) is not None:
        with wakeup():
            wake(claim, default_workshop())
        done += 1
    return done


def wake(claim: Claim, workshop: Workshop) -> None:
    """Work on a claimed run until nothing moves, or its time is spent."""
    try:
        Wakeup(claim, workshop).run_all()
    except LostClaim:
        log.info("claim lost", extra={"run": str(claim.run_id), "token": claim.token})
    except (OperationalError, InterfaceError):
        # What was under way is written down: the next wake-up reads it back.
        log.warning("database connection lost", extra={"run": str(claim.run_id)})
        claims.give_back(claim)
    except Exception:
        # One run that cannot be worked on must not keep the others waiting; its claim was counted beforehand.
        log.exception("a wake-up crashed", extra={"run": str(claim.run_id)})
        claims.put_off(claim)


class Wakeup:
    """One wake-up of one run."""

    def __init__(self, claim: Claim, workshop: Workshop) -> None:
        from ..stacks import pipeline_of

        self.ends = clock.monotonic() + WAKEUP
        self.workshop = workshop
        (self.run,) = RUN(claim.run_id)
        self.provision = self.run.provision
        if self.run.crashes >= CRASHES_TO_PARK:
            sentence = f"{self.provision.reference}: {self.run.crashes} wake-ups in a row have not come to their end."
            OperatorItem.open("run_crashes", key=str(self.run.pk), sentence=sentence, provision=self.provision)
        self.stack: StackSpec = pipeline_of(self.run)
        self.wave: Wave = load_wave(self.run, self.provision, self.stack)
        self.recorder = Recorder(claim, self.run, self.provision, self.wave, claim.at)
        self.accounts = accounts.of_order(self.provision)
        self.clients = self.accounts.clients(workshop.clients)
        self.reader = Reader(workshop.transport, claim, self.accounts)
        self.looker = Looker(workshop.name_servers, claim)
        self.ledger = Ledger(
            claim=claim,
            provision=self.provision,
            transport=workshop.transport,
            wakeup_ends=self.ends,
            after_write=self.reader.forget,
            accounts=self.accounts,
        )

    def run_all(self) -> None:
        """Walk all open steps, again and again while something moves."""
        moved = True
        while moved and clock.monotonic() < self.ends:
            moved, now = False, self.recorder.now.vendor
            if self._is_in_vain():  # people take items out of the wave too
                self.recorder.fail(NOTHING_LEFT)
                return
            for spec in self.stack.steps:
                rows = self._that_go(spec, self.wave.due(spec, now), now)
                if not rows:
                    continue
                outcomes = self._attempt(spec, rows, now)
                moved |= self.recorder.record(spec, outcomes, now)
                if self.recorder.is_closed:
                    return
                now = self.recorder.now.vendor
                failed = outcomes.get("") if spec.scope is Scope.RUN else None
                if isinstance(failed, Failed):
                    self.recorder.fail(failed)
                    return
                if self._is_in_vain():
                    self.recorder.fail(NOTHING_LEFT)
                    return
        if self.wave.is_finished():
            self.recorder.finish()
        else:
            self.recorder.release(self.recorder.now.vendor)

    def _is_in_vain(self) -> bool:
        """Tell whether nothing is left of an order that is being set up. What changes one ends with exceptions then."""
        return self.stack.ending.failed is not None and self.wave.has_nothing_left()

    def _that_go(self, spec: StepSpec, rows: list[Step], now: VendorInstant) -> list[Step]:
        """Return the rows to attempt now; hold those that had better travel with siblings that are on their way, and put
        off what had better let others go first."""
        if rows and self._yields(spec, rows, now):
            self.recorder.put_off(spec, rows, now)
            return []
        fresh = [row for row in rows if row.opened_at is None]
        if fresh and self.wave.gathers(spec, fresh, now):
            self.recorder.hold(spec, fresh, now)
            return [row for row in rows if row.opened_at is not None]
        if fresh and len(fresh) == len(rows) and self._has_leisure(spec, rows, now):
            self.recorder.put_off(spec, rows, now, fresh=True)
            return []
        return rows

    def _yields(self, spec: StepSpec, rows: Sequence[Step], now: VendorInstant) -> bool:
        """Tell whether these are looks, earlier than the step is done as a rule, at a budget that others wait for."""
        if spec.yields is None or any(row.opened_at is None or row.waits_on != WaitsOn.PLATFORM for row in rows):
            return False
        name, as_a_rule = spec.yields
        alike = [other.key for other in self.stack.steps if other.yields == spec.yields]  # they look for one thing
        began = [self.wave.rows.get((key, row.item_key)) for key in alike for row in rows]
        since = min(row.opened_at for row in began if row is not None and row.opened_at is not None)
        return clock.seconds_between(since, now) < as_a_rule and budget.is_contested(name, self.run.pk)

    def _has_leisure(self, spec: StepSpec, rows: Sequence[Step], now: VendorInstant) -> bool:
        """Tell whether these have not begun, need not yet, and would begin with a permit that others wait for."""
        if spec.leisure is None or any(row.waits_on not in ("", WaitsOn.PLATFORM) for row in rows):
            return False
        name, at_most = spec.leisure
        since = min((str(row.facts[LEISURE_SINCE]) for row in rows if LEISURE_SINCE in row.facts), default="")
        waited = clock.seconds_between(datetime.fromisoformat(since), now) if since else 0.0
        return waited < at_most and budget.is_contested(name, self.run.pk)

    def _attempt(self, spec: StepSpec, rows: Sequence[Step], now: VendorInstant) -> dict[str, Outcome]:
        """Call the step function for these rows; return an outcome for each of them."""
        self.ledger.step_key = spec.key
        context = self._context(spec, rows, now)
        outcomes: Outcomes
        try:
            outcomes = spec.function(context)
        except (LostClaim, OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 - the one table turns all of them into outcomes
            errors = max(row.errors for row in rows)
            if not isinstance(error, NOT_OUR_FAULT):
                for row in rows:
                    row.errors += 1
            outcomes = outcome_of(error, errors)
            if isinstance(error, OwnAccountRefused) and self.run.kind == RunKind.TEARDOWN:
                outcomes = Done(
                    {"left_to_owner": error.platform}
                )  # whose account it is has shut us out: that is the end
        else:
            for row in rows:
                row.errors = 0
        if isinstance(outcomes, Mapping):
            return {
                row.item_key: outcomes.get(row.item_key) or Wait(spec.poll, why="nothing to do for this item yet")
                for row in rows
            }
        return {row.item_key: outcomes for row in rows}

    def _context(self, spec: StepSpec, rows: Sequence[Step], now: VendorInstant) -> Context:
        by_key = {row.item_key: row for row in rows}
        mine = list(by_key) if spec.scope is not Scope.RUN else None
        domain_keys = mine if spec.scope is Scope.DOMAIN else self.wave.live(Scope.DOMAIN)
        mailbox_keys = mine if spec.scope is Scope.MAILBOX else self.wave.live(Scope.MAILBOX)
        ceilings = self.run.order.get("domain_price_cap_cents", self.workshop.options.domain_cost_cents)
        domains = {key: _domain_item(domain, ceilings, by_key.get(key)) for key, domain in self.wave.homes.items()}
        here = [domains[key] for key, one in self.wave.domains.items() if one.state != DomainState.LOST]
        before = [
            domains[key]
            for key, one in self.wave.homes.items()
            if key not in self.wave.domains and one.state not in APART
        ]
        opened = min((row.opened_at for row in rows if row.opened_at), default=now)
        return Context(
            provision=self.provision,
            order=self.run.order,
            domains=[domains[key] for key in domain_keys or ()],
            mailboxes=[
                _mailbox_item(mailbox, domains[str(mailbox.domain_id)], by_key.get(key))
                for key in mailbox_keys or ()
                for mailbox in [self.wave.mailboxes[key]]
            ],
            facts=self.provision.facts,
            clients=self.clients,
            accounts=self.accounts,
            ledger=self.ledger,
            reader=self.reader,
            looker=self.looker,
            options=self.workshop.options,
            now=now,
            poll=min(spec.pace(clock.seconds_between(row.opened_at or now, now)) for row in rows),
            waited=clock.seconds_between(opened, now),
            built=here,
            there=before,
        )


def _domain_item(domain: Domain, cap_cents: int, row: Step | None) -> DomainItem:
    return DomainItem(
        key=str(domain.pk),
        name=domain.name,
        ceiling_cents=cap_cents,
        facts=domain.facts,
        step_facts=row.facts if row else {},
        place=domain.position,
        is_own=domain.is_own,
    )


def _mailbox_item(mailbox: Mailbox, domain: DomainItem, row: Step | None) -> MailboxItem:
    return MailboxItem(
        key=str(mailbox.pk),
        address=mailbox.address,
        username=mailbox.username,
        first_name=mailbox.first_name,
        last_name=mailbox.last_name,
        domain=domain,
        facts=mailbox.facts,
        step_facts=row.facts if row else {},
        daily_limit=mailbox.daily_limit,
    )


def outcome_of(error: Exception, errors: int) -> Outcome:
    """Turn what a step raised into an outcome. The one table; `errors` counts failures in a row before this one."""
    again = BACKOFF[min(errors, len(BACKOFF) - 1)]
    match error:
        case budget.NotNow():
            return budget.called_later(error)
        case TimeSpent():
            return Wait(1.0, why="this wake-up has no time left for the call")
        case Halted():
            return Wait(5 * MINUTE, on=WaitsOn.OPERATOR, why=str(error), cause="halted")
        case Undecidable():
            return NeedsOperator(UNDECIDABLE, str(error))
        case RateLimited():
            seconds = min(error.advised_wait or 60.0, ADVICE_CAP)
            return Wait(seconds, why="the platform asked us to slow down", firm=True, cause="rate_limited")
        case OwnAccountRefused():
            code = accounts.CODES.get(error.platform, error.platform)
            # Whoever was at work while a new key came in looks again soon: without a key that works that costs no call.
            return NeedsStudent(UPDATE_KEY, f"{code}: {error.sentence}", look_again=10 * MINUTE, mail="")
        case BadCredentials():
            return Wait(
                5 * MINUTE, on=WaitsOn.OPERATOR, why="the platform refuses our credentials", cause="credentials"
            )
        case Retryable() | OutcomeUnknown():
            return Wait(again, why=f"{error.platform} does not answer as it should: {error.sentence}")
        case NotConfigured() | Unsupported():
            return NeedsOperator("not_configured", str(error))
        case Permanent():
            return NeedsOperator(getattr(error, "code", "refused"), f"refused by {error.platform}: {error.sentence}")
        case PlatformError():
            return Wait(again, why=str(error))
    log.error("a step crashed", exc_info=error)
    if errors + 1 >= CRASHES_TO_PARK:
        return NeedsOperator("internal_error", f"an internal error, {errors + 1} times: {type(error).__name__}")
    return Wait(again, on=WaitsOn.PLATFORM, why=f"an internal error: {type(error).__name__}")
