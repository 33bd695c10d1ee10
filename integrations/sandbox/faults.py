"""Everything that can go wrong on purpose, each with a name.

A fault names what it does (`kind`), whom it hits (`platform`, `verb`, `items`, `ref`; empty means all) and how often
(`share` of the matching requests, `times` at most, after the first `skip`). Kinds fall into four groups:

before the work   refuse, unreachable, timeout_before, reset_before, rate_limit, status, redirect, late_execution
after the work    timeout_after, reset_after, status_after, empty_body, truncated_body, html_body, garbage_body,
                  wrong_type, null_id, unknown_word, slow_body, huge_body
in the work       nothing_happens, domain_taken, price_changed, wallet_short, slow_domains, slow_slots,
                  slow_mailboxes, failing_mailboxes, slow_export, export_incomplete, login_expired, list_lag,
                  shuffled, unknown_status, accounts_lost, account_disconnected, key_revoked, rows_lost
on webhooks       webhook_duplicate, webhook_lost, webhook_delay

Besides these each platform has kinds of its own (`Platform.fault_kinds`), such as Stripe's and InfraForge's, and the mail
between servers has those of `post_office.FAULTS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from .seeds import fraction

T = TypeVar("T")

BEFORE = frozenset(
    {"refuse", "unreachable", "timeout_before", "reset_before", "rate_limit", "status", "redirect", "late_execution"},
)
AFTER = frozenset(
    {
        "timeout_after",
        "reset_after",
        "status_after",
        "empty_body",
        "truncated_body",
        "html_body",
        "garbage_body",
        "wrong_type",
        "null_id",
        "unknown_word",
        "slow_body",
        "huge_body",
    },
)
EFFECTS = frozenset(
    {
        "nothing_happens",
        "domain_taken",
        "price_changed",
        "wallet_short",
        "slow_domains",
        "slow_slots",
        "slow_mailboxes",
        "failing_mailboxes",
        "slow_export",
        "export_incomplete",
        "login_expired",
        "list_lag",
        "shuffled",
        "unknown_status",
        "accounts_lost",
        "account_disconnected",
        "key_revoked",
        "rows_lost",
        "webhook_duplicate",
        "webhook_lost",
        "webhook_delay",
    },
)
KINDS = BEFORE | AFTER | EFFECTS


@dataclass
class Fault:
    """One fault in the table.

    ref      our reference (GTM-XXXXXX): only requests that the log ascribes to it; for faults before and after the work
    status   of `status`, `status_after` and `redirect`
    advice   Retry-After of `rate_limit`: None for none, any text otherwise ("30", "-1", "next Tuesday")
    seconds  virtual for late_execution, list_lag, slow_* effects and webhook_delay; machine seconds for slow_body
    amount   cents for price_changed; bytes for huge_body
    value    free text, such as the unknown status value or word
    """

    kind: str
    platform: str = ""
    verb: str = ""
    items: tuple[str, ...] = ()
    ref: str = ""
    share: float = 1.0
    times: int | None = None
    skip: int = 0
    status: int = 500
    advice: str | None = None
    seconds: float = 60.0
    amount: int = 0
    value: str = ""
    id: int = 0
    seen: int = 0
    drawn: int = 0

    def concerns(self, platform: str, verb: str, items: Iterable[str], ref: str = "") -> bool:
        """Whether the fault is about such a request at all."""
        wanted = self.ref in ("", ref) and (not self.items or any(item in self.items for item in items))
        return self.platform in ("", platform) and (self.verb in ("", verb) or not verb) and wanted

    @property
    def spent(self) -> bool:
        return self.times is not None and self.drawn >= self.times


@dataclass
class FaultTable:
    """The faults that are on. Draws depend on the seed and on how often a fault was asked, never on a clock."""

    seed: int = 1
    faults: list[Fault] = field(default_factory=list)
    count: int = 0
    extra_kinds: set[str] = field(default_factory=set)

    def add(self, kind: str, **values: Any) -> Fault:
        """Switch a fault on and return it. Raises ValueError for an unknown kind or member."""
        if kind not in KINDS and kind not in self.extra_kinds:
            raise ValueError(f"no fault is called {kind!r}; known: {', '.join(sorted(KINDS | self.extra_kinds))}")
        unknown = set(values) - set(Fault.__dataclass_fields__) | set(values) & {"id", "seen", "drawn"}
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        if not 0.0 <= float(values.get("share", 1.0)) <= 1.0:
            raise ValueError("share lies between 0 and 1")
        values["items"] = tuple(values.get("items", ()))
        self.count += 1
        fault = Fault(kind=kind, id=self.count, **values)
        self.faults.append(fault)
        return fault

    def remove(self, fault_id: int) -> None:
        """Switch one fault off. Raises ValueError when there is no such fault."""
        if all(fault.id != fault_id for fault in self.faults):
            raise ValueError(f"no fault has the id {fault_id}")
        self.faults = [fault for fault in self.faults if fault.id != fault_id]

    def clear(self) -> None:
        """Switch everything off."""
        self.faults = []

    def draw(
        self, kinds: Iterable[str], platform: str, verb: str, items: Iterable[str] = (), ref: str = ""
    ) -> Fault | None:
        """Return the first fault of `kinds` that hits this request, and count it."""
        names, wanted = tuple(items), frozenset(kinds)
        for fault in self.faults:
            if fault.kind not in wanted or fault.spent or not fault.concerns(platform, verb, names, ref):
                continue
            fault.seen += 1
            if fault.seen > fault.skip and fraction(self.seed, fault.kind, fault.id, fault.seen) < fault.share:
                fault.drawn += 1
                return fault
        return None

    def hits(self, kind: str, platform: str, verb: str, item: str, attempt: int = 1) -> Fault | None:
        """Return the fault of `kind` that hits one item, and count it.

        The share is taken per item and attempt, so that asking twice agrees. An empty `verb` matches every fault's.
        """
        for fault in self.faults:
            if fault.kind != kind or fault.spent or not fault.concerns(platform, verb, (item,)):
                continue
            fault.seen += 1
            if fault.seen > fault.skip and fraction(self.seed, kind, fault.id, item, attempt) < fault.share:
                fault.drawn += 1
                return fault
        return None

    def standing(self, kind: str, platform: str, verb: str, item: str = "") -> Fault | None:
        """Return a fault of `kind` without counting it: for states such as a lag, which last while they are on."""
        for fault in self.faults:
            on = fault.kind == kind and not fault.spent and fault.concerns(platform, verb, (item,))
            if on and fraction(self.seed, kind, fault.id, item) < fault.share:
                return fault
        return None

    def lag(self, platform: str, verb: str) -> float:
        """Return how many virtual seconds a list is behind."""
        fault = self.standing("list_lag", platform, verb)
        return fault.seconds if fault else 0.0

    def ordered(self, platform: str, verb: str, rows: Sequence[T]) -> list[T]:
        """Return the rows of a list in the order it shows them: anew each time it is asked while `shuffled` is on."""
        fault = self.draw({"shuffled"}, platform, verb)
        if fault is None:
            return list(rows)
        places = sorted(range(len(rows)), key=lambda place: fraction(self.seed, "order", fault.id, fault.seen, place))
        return [rows[place] for place in places]

    def snapshot(self) -> list[dict[str, Any]]:
        """Return the table as plain JSON."""
        return [asdict(fault) for fault in self.faults]
