"""The one way a write leaves the house: permit and intent in one commit, send, capture, then outcome.

    1 claim the run (the runner did)
    2 ONE commit: quota permit + INTENT
    3 send, with no transaction open
    4 CAPTURE: the raw answer, encrypted, before anybody parses it, exempt from the fence
    5 parse; ONE fenced commit: OUTCOME

What a step says is *what should be so* (`bring_about`) and *how to see it* (`look`); the ledger decides whether
anything is sent. At most one attempt for a thing is unresolved, and nothing is ever resent blindly: an unknown outcome is
closed by reading back, by the bounded rule of absence, or by a person.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import Error, IntegrityError, connection, transaction

from infra import clock, prepared
from infra.models import UNRESOLVED, OperationState, Provision, ProvisionState
from infra.prepared import Lookup
from infra.secret import Secret
from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import (
    AlreadyExists,
    BadCredentials,
    NotSent,
    OutcomeUnknown,
    Permanent,
    PlatformError,
    RateLimited,
    Rejected,
    Retryable,
)
from integrations.http.transport import Transport

from ..models import Capture, Operation, OperationItem
from . import budget, claims, switches
from .accounts import OPERATORS, Accounts
from .claims import LEASE_MARGIN, Claim
from .failpoints import failpoint
from .fenced import Fenced
from .reader import is_answer

log = logging.getLogger(__name__)

T = TypeVar("T")

SEND_WINDOW = 10.0  # machine seconds between the intent and the last moment at which sending may begin
ABSENCE_MARGIN = 30.0  # vendor seconds added to the bounds of the absence rule
ABSENT_READS = 2  # how many reads must not find a thing
LOOK_AGAIN = 60.0  # vendor seconds between two looks for something unresolved
EXISTS = "already_exists"  # code of a refusal of several things, one of which is there already
ELSEWHERE = "exists_elsewhere"  # code of one thing that is there already, and not ours


ITEM_FIELDS = (
    *("platform", "verb", "natural_key", "state", "evidence", "absent_reads", "created_at"),
    *("operation__state", "operation__status", "operation__attempt", "operation__sentence", "operation__target"),
    *("operation__run", "operation__absent_after", "operation__request_id", "operation__settled_at"),
)
ITEMS_OF = Lookup(
    lambda order: (
        OperationItem.objects.filter(operation__run__provision=order)
        .select_related("operation")
        .only(*ITEM_FIELDS)
        .order_by("created_at", "id")
    )
)

# The states stand in the text, because a kept plan uses the small index of what is unresolved only where it can see them.
OPEN_ELSEWHERE = f"""
SELECT array_agg(item.natural_key) FROM provisioning_operationitem item
JOIN provisioning_operation operation ON operation.id = item.operation_id
JOIN provisioning_run run ON run.id = operation.run_id
WHERE item.platform = %(platform)s AND item.verb = %(verb)s AND item.natural_key = ANY(%(keys)s::varchar[])
    AND item.state IN ({", ".join(f"'{state.value}'" for state in UNRESOLVED)}) AND run.provision_id <> %(provision)s
"""

UNDECIDABLE = "cannot_be_read_back"  # code of a person's task: to look for what nothing can be read of


class Halted(Exception):
    """Nothing that costs money may be sent now: the kill switch, or the order was cancelled."""


class TimeSpent(Exception):
    """This wake-up has too little time left to begin the call; the next one begins it."""


class Undecidable(Exception):
    """What became of a request is known nowhere: its answer was lost, and nothing can be read back. A person decides."""


class Vanished(OutcomeUnknown):
    """A thing that was seen there can no longer be seen."""


@dataclass(slots=True)
class Book(Generic[T]):
    """Where the things that were asked for stand.

    done       proven: natural key -> what `look` returned or the parsed answer
    waiting    natural key -> vendor seconds after which at the latest it is worth looking again
    rejected   natural key -> the refusal
    refusal    a refusal of this very request that means "not yet" (`again`)
    reply      the parsed answer of a request that was sent or resumed just now
    """

    done: dict[str, Any] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)
    rejected: dict[str, Rejected] = field(default_factory=dict)
    refusal: Rejected | None = None
    reply: T | None = None

    def join(self, later: Book[T]) -> None:
        """Take over what a later book says; it knows better where both speak of a thing."""
        for key in (*later.done, *later.waiting, *later.rejected):
            for stand in (self.done, self.waiting, self.rejected):
                stand.pop(key, None)
        self.done |= later.done
        self.waiting |= later.waiting
        self.rejected |= later.rejected
        self.refusal, self.reply = later.refusal or self.refusal, later.reply or self.reply


class Ledger:
    """Writes of one wake-up. Everything it commits is refused once the claim is lost, except captures."""

    def __init__(
        self,
        *,
        claim: Claim,
        provision: Provision,
        transport: Transport,
        wakeup_ends: float,
        after_write: Callable[[], None],
        accounts: Accounts = OPERATORS,
    ) -> None:
        self.claim = claim
        self.provision = provision
        self.transport = transport
        self.wakeup_ends = wakeup_ends  # clock.monotonic()
        self.after_write = after_write
        self.accounts = accounts
        self.step_key = ""
        self.now = claim.at
        self.began = claim.at.vendor
        self._own: list[OperationItem] | None = None
        self._refusal: Rejected | None = None
        self._refused: Permanent | None = None

    # ---- what steps call -------------------------------------------------------------------------------------------

    def bring_about(
        self,
        keys: Sequence[str],
        build: Callable[[tuple[str, ...]], Call[T]],
        look: Callable[[], Mapping[str, Any]],
        *,
        again: frozenset[str] = frozenset(),
    ) -> Book[T]:
        """Make `keys` so, unless they are; send only what was never sent or is proven absent.

        keys   natural keys, e.g. domain names
        build  builds the call for some of the keys; pure, called again after a crash
        look   reads the platform: natural key -> evidence, for what is there. Called only while something is unresolved
        again  codes of refusals that mean "not yet": the keys may be sent again later

        Raises Retryable errors, BadCredentials, budget.NotNow, Halted, LostClaim, TimeSpent and Undecidable.
        """
        book: Book[T] = Book()
        call = build(tuple(keys))
        items = self._settle_open(call, keys, build, look, again, book)
        fresh = [key for key in keys if key not in items or self._may_be_sent(items[key], call)]
        elsewhere = self._open_elsewhere(call.platform, call.verb, fresh)
        book.waiting |= dict.fromkeys(elsewhere, LOOK_AGAIN)
        if len(fresh) > len(elsewhere):
            book.reply = self._send(build(tuple(key for key in fresh if key not in elsewhere)), again)
            book.refusal = self._refusal
            items = self._latest(call, keys)
        self._report(items, call, book, besides=elsewhere)
        return book

    def settle(
        self,
        keys: Sequence[str],
        build: Callable[[tuple[str, ...]], Call[T]],
        look: Callable[[], Mapping[str, Any]],
        *,
        again: frozenset[str] = frozenset(),
    ) -> Book[T]:
        """Find out where `keys` stand and send nothing: for steps that check something before they send again.

        What it reads is counted: call `bring_about` afterwards only with keys that are `sendable`.
        """
        book: Book[T] = Book()
        call = build(tuple(keys))
        self._report(self._settle_open(call, keys, build, look, again, book), call, book)
        return book

    def _settle_open(
        self,
        call: Call[T],
        keys: Sequence[str],
        build: Callable[[tuple[str, ...]], Call[T]],
        look: Callable[[], Mapping[str, Any]],
        again: frozenset[str],
        book: Book[T],
    ) -> dict[str, OperationItem]:
        """Judge answers that nobody judged, then look for what is still open; return the newest item per key."""
        self._refusal = None
        items = self._latest(call, keys)
        unjudged = {
            item.operation_id: item.operation for item in _open(items.values()) if item.operation.status is None
        }
        judged = [self._judge_capture(operation, keys, build, again) for operation in unjudged.values()]
        if any(judged):
            items = self._latest(call, keys)
        unresolved = _open(items.values())
        if unresolved:
            provable = call.proof != Proof.NONE or call.repeatable
            self._look(unresolved, look(), book, provable=provable)
            items = self._latest(call, keys)
            if not provable and (lost := _open(items.values())):
                names = ", ".join(item.natural_key for item in lost)
                raise Undecidable(f"whether {call.verb} was carried out for {names} can be seen only by a person")
        return items

    def obtain(
        self,
        key: str,
        build: Callable[[], Call[T]],
        find: Callable[[], T | None],
        *,
        again: frozenset[str] = frozenset(),
    ) -> T | Book[T]:
        """Return the one thing `key`: from the answer, from its stored capture, or found at the platform.

        Returns the Book instead while it is unresolved, or refused for now (`again`). Raises Rejected when the platform
        refuses it, Vanished when it has gone again, and what `bring_about` raises.
        """

        def look() -> Mapping[str, Any]:
            found = find()
            return {} if found is None else {key: found}

        book = self.bring_about([key], lambda _keys: build(), look, again=again)
        if key in book.rejected:
            raise book.rejected[key]
        if key not in book.done:
            return book
        if book.reply is not None:
            return book.reply
        evidence = book.done[key]
        if evidence and not isinstance(evidence, Mapping):
            return evidence  # type: ignore[no-any-return]
        stored = self._parse_stored(key, build())
        if stored is not None:
            return stored
        seen = find()
        if seen is None:
            raise Vanished(f"{key} was made and can no longer be seen", platform=build().platform, verb=build().verb)
        return seen

    def apply(self, call: Call[T]) -> T:
        """Send a repeatable write, whatever became of the last attempt: absolute values, or what a platform carries out once
        for its idempotency key.

        Its answer closes it: whether it did what it says is seen by whoever reads the values, and sets them again.
        Raises Rejected or NotFound when it is refused, OutcomeUnknown when the answer was lost, and what
        `bring_about` raises.
        """
        if not call.repeatable:
            raise ValueError(f"{call.verb} is not repeatable")
        stale = _open(self._items(call.platform, call.verb, call.items))
        self._settle({OperationState.ABSENT: stale}, {"superseded": "it may be sent again"})
        self._refused = None
        reply = self._send(replace(call, proof=Proof.ANSWER), frozenset())
        if self._refused is not None:
            raise self._refused
        if reply is None:
            raise OutcomeUnknown("the answer was lost or made no sense", platform=call.platform, verb=call.verb)
        return reply

    def forget(self, platform: str, verb: str, key: str, *, why: str) -> None:
        """Declare a thing absent after we removed it ourselves, so that it may be made anew."""
        made = [i for i in self._items(platform, verb, [key]) if i.state in (*UNRESOLVED, OperationState.DONE)]
        self._settle({OperationState.ABSENT: made}, {"removed": why})

    def seen(self, platform: str, verb: str) -> bool:
        """Settle as done whatever attempts of a verb are open: what they were for is so. Return whether there were any
        attempts at all."""
        items = self._items(platform, verb)
        self.prove(platform, verb, {item.natural_key: {"read_back": True} for item in _open(items)})
        return bool(items)

    def prove(self, platform: str, verb: str, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Settle as done what a step has just seen by itself: natural key -> evidence."""
        open_items = _open(self._items(platform, verb, list(found)))
        for item in open_items:
            item.evidence = {**item.evidence, **found[item.natural_key]}
        self._settle({OperationState.DONE: open_items})

    def state_of(self, platform: str, verb: str, key: str) -> str:
        """Return the state of the last request for a thing; empty where there was none."""
        return next((item.state for item in reversed(self._items(platform, verb, [key]))), "")

    def target(self, platform: str, verb: str, key: str) -> int:
        """Return what a counter was last to be brought to; 0 where nobody has tried, or nothing came of it."""
        nothing = (OperationState.NOT_DONE, OperationState.REJECTED, OperationState.ABSENT)
        tried = [item for item in self._items(platform, verb, [key]) if item.state not in nothing]
        return max((int(item.operation.target.get("target", 0)) for item in tried), default=0)

    def sendable(self, platform: str, verb: str, keys: Sequence[str]) -> list[str]:
        """Return the keys that `bring_about` would send now: never sent, refused for the moment, or proven absent."""
        blocked = {
            item.natural_key
            for item in self._items(platform, verb, keys)
            if item.state in (*UNRESOLVED, OperationState.DONE, OperationState.REJECTED)
        }
        blocked |= self._open_elsewhere(platform, verb, [key for key in keys if key not in blocked])
        return [key for key in keys if key not in blocked]

    def attempted(self, platform: str, verb: str, keys: Sequence[str]) -> list[str]:
        """Return the keys that may be sent again after an attempt that came to nothing: absent, or refused for then.

        An attempt that never got as far as the platform's work (429, not sent) says nothing and does not count.
        """
        before = {
            item.natural_key
            for item in self._items(platform, verb, keys)
            if item.state != OperationState.NOT_DONE or item.evidence.get("code")
        }
        return [key for key in self.sendable(platform, verb, keys) if key in before] if before else []

    def counts(self, platform: str, verb: str, keys: Sequence[str], *, here: bool = False) -> Counter[str]:
        """Return by key how many requests of this provision carried it and may have been carried out; `here`: of this run."""
        sent = [item for item in self._items(platform, verb, keys) if item.state != OperationState.NOT_DONE]
        if here:
            sent = [item for item in sent if item.operation.run_id == self.claim.run_id]
        return Counter(item.natural_key for item in sent)

    def attempts(self, platform: str, verb: str, key: str) -> list[str]:
        """Return the ids of this provision's attempts for a thing that were or may have been carried out, or were refused."""
        items = self._items(platform, verb, [key])
        return [str(item.pk) for item in items if item.state != OperationState.NOT_DONE]

    # ---- reading the books -------------------------------------------------------------------------------------------

    def _items(self, platform: str, verb: str, keys: Sequence[str] | None = None) -> list[OperationItem]:
        """Return this provision's items of a verb, oldest first.

        Read once a wake-up: whoever holds the claim is the only one who writes them.
        """
        if self._own is None:
            self._own = ITEMS_OF(self.provision.pk)
            operations: dict[uuid.UUID, Operation] = {}
            for item in self._own:  # one object for each operation, so that its items see the same
                item.operation = operations.setdefault(item.operation_id, item.operation)
        return [
            item
            for item in self._own
            if (item.platform, item.verb) == (platform, verb) and (keys is None or item.natural_key in keys)
        ]

    def _open_elsewhere(self, platform: str, verb: str, keys: Sequence[str]) -> set[str]:
        """Return the keys that others have left unresolved: theirs to settle, and nobody else may ask for them now."""
        if not keys:
            return set()
        found = prepared.execute(
            OPEN_ELSEWHERE,
            {"platform": platform, "verb": verb, "keys": list(keys), "provision": self.provision.pk},
        )
        return set(found[0] or ()) if found else set()

    def _latest(self, call: Call[Any], keys: Sequence[str]) -> dict[str, OperationItem]:
        """Return this provision's newest item per key."""
        return {item.natural_key: item for item in self._items(call.platform, call.verb, keys)}

    def _may_be_sent(self, item: OperationItem, call: Call[Any]) -> bool:
        if item.state in (OperationState.NOT_DONE, OperationState.ABSENT):
            return True
        # A counter is brought to its target again and again: done for one target says nothing about the next.
        return item.state == OperationState.DONE and bool(call.target) and item.operation.target != dict(call.target)

    def _report(
        self,
        items: Mapping[str, OperationItem],
        call: Call[Any],
        book: Book[Any],
        *,
        besides: Collection[str] = (),
    ) -> None:
        for key, item in items.items():
            if key in besides:
                continue
            if item.state == OperationState.DONE:
                book.done.setdefault(key, item.evidence)
            elif item.state == OperationState.REJECTED:
                evidence = item.evidence
                book.rejected[key] = Rejected(
                    str(evidence.get("code", "rejected")),
                    str(evidence.get("sentence", "")),
                    platform=call.platform,
                    verb=call.verb,
                    status=evidence.get("status"),
                )
            else:
                until = (item.operation.absent_after - self.now.vendor).total_seconds() + 1.0
                book.waiting[key] = until if item.state in UNRESOLVED and until > 0 else LOOK_AGAIN

    # ---- resolving ---------------------------------------------------------------------------------------------------

    def _judge_capture(
        self,
        operation: Operation,
        asked: Sequence[str],
        build: Callable[[tuple[str, ...]], Call[Any]],
        again: frozenset[str],
    ) -> bool:
        """Judge an answer that was captured by somebody who did not live to judge it, or who woke too late to.

        Returns whether there was one.
        """
        with transaction.atomic():
            # The lock makes a capture that is being appended at this moment either visible or late for certain.
            locked = Operation.objects.select_for_update(of=("self",)).get(pk=operation.pk)
            capture = locked.captures.filter(attempt=locked.attempt).first()
        if capture is None or locked.state not in UNRESOLVED or locked.status is not None:
            return False
        carried = {item.natural_key for item in self._of(operation)}
        # Built for what the step still asks for: other things of that request may have left the wave since.
        self._judge(operation, build(tuple(key for key in asked if key in carried)), raw_of(capture), again)
        return True

    def _look(
        self,
        unresolved: Sequence[OperationItem],
        found: Mapping[str, Any],
        book: Book[Any],
        *,
        provable: bool = True,
    ) -> None:
        """Settle what was found; call absent what two reads after the bounds did not find, if reading can tell.

        A read may be as old as this wake-up, so the bounds are held against its beginning. Earlier reads count for
        nothing: the thing may not have been there yet, and one stale list afterwards must not be enough.
        """
        there, gone, elsewhere, still_open = [], [], [], []
        for item in unresolved:
            missing = item.natural_key not in found
            item.absent_reads += provable and missing and self.began > item.operation.absent_after
            if item.natural_key in found:
                book.done[item.natural_key] = found[item.natural_key]
                there.append(item)
            elif item.absent_reads < ABSENT_READS:
                still_open.append(item)
            elif item.evidence.get("exists"):  # it exists, and it is not ours: sending again changes nothing
                item.evidence = {"code": ELSEWHERE, "sentence": item.operation.sentence}
                elsewhere.append(item)
            else:
                gone.append(item)
        for item in there:
            item.evidence = {**item.evidence, "read_back": True}
        for item in gone:
            item.evidence = {**item.evidence, "absent_reads": ABSENT_READS}
        for item in still_open:  # what was intended and left no answer is unknown from now on
            if item.state == OperationState.INTENDED:
                item.state = OperationState.UNKNOWN
            if item.operation.state == OperationState.INTENDED:
                item.operation.state = OperationState.UNKNOWN
        settled = {OperationState.DONE: there, OperationState.REJECTED: elsewhere, OperationState.ABSENT: gone}
        self._settle(settled, besides=still_open)

    def _settle(
        self,
        settled: Mapping[OperationState, Sequence[OperationItem]],
        evidence: Mapping[str, Any] | None = None,
        *,
        besides: Sequence[OperationItem] = (),
    ) -> None:
        """Close items in one fenced commit, and the operations of which no item is open any more."""
        changed = list(besides)
        for state, items in settled.items():
            for item in items:
                item.state, item.evidence = state, {**item.evidence, **(evidence or {})}
            for item in items:
                if not _open(self._of(item.operation)):
                    item.operation.state, item.operation.settled_at = state, clock.machine_now()
            changed += items
        if not changed:
            return
        operations = {item.operation_id: item.operation for item in changed}
        write = Fenced(self.claim).update(changed, ("state", "evidence", "absent_reads"))
        self._write(write.update(list(operations.values()), ("state", "settled_at")))

    def _write(self, write: Fenced) -> None:
        """Commit what has changed in memory. Where that fails memory says more than is so: it is read anew."""
        try:
            self.now = write.execute()
        except Error:
            self._own = None
            raise

    def _of(self, operation: Operation) -> list[OperationItem]:
        return [item for item in self._own or () if item.operation_id == operation.pk]

    def _parse_stored(self, key: str, call: Call[T]) -> T | None:
        capture = (
            Capture.objects.filter(
                operation__platform=call.platform,
                operation__verb=call.verb,
                operation__items__natural_key=key,
                operation__items__state=OperationState.DONE,
                operation__run__provision=self.provision,
            )
            .order_by("-created_at")
            .first()
        )
        if capture is None:
            return None
        raw = raw_of(capture)
        if call.classify(raw) is not None:
            return None
        try:
            return call.parse(raw)
        except Exception:  # noqa: BLE001 - whatever a parser raises, the shape is unknown
            return None

    # ---- sending -----------------------------------------------------------------------------------------------------

    def _send(self, call: Call[T], again: frozenset[str]) -> T | None:
        if clock.monotonic() + SEND_WINDOW + call.deadline > self.wakeup_ends:
            raise TimeSpent(call.verb)
        self.accounts.admit(call)
        failpoint("before_intent", call)
        send_before = clock.monotonic() + SEND_WINDOW
        operation, held = self._intend(call)
        failpoint("after_intent", call)
        answered = False
        try:
            if held.is_stale():
                held = self._renew(operation, held, call)
            raw = self.transport.send(call, send_before=send_before)
            failpoint("after_answer", call)
            capture_answer(operation, raw)
            failpoint("after_capture", call)
            answered = is_answer(call.classify(raw))
        except NotSent as error:
            self._conclude(operation, OperationState.NOT_DONE, sentence=error.sentence)
            raise
        except OutcomeUnknown as error:
            budget.note_timeout(call.platform)
            self._conclude(operation, OperationState.UNKNOWN, sentence=error.sentence)
            return None
        finally:
            budget.release(held, answered=answered)
            self.after_write()
        return self._judge(operation, call, raw, again)

    def _intend(self, call: Call[Any]) -> tuple[Operation, budget.Pass]:
        """Commit permit and intent together: without a permit no intent is left, without an intent no permit is spent."""
        self._items(call.platform, call.verb)  # read before it grows
        lease = SEND_WINDOW + call.deadline + LEASE_MARGIN
        with transaction.atomic():
            self._may_spend(call)
            is_own = self.accounts.is_own(call.platform)
            held = budget.acquire(call, self.claim, lease=lease, is_own=is_own)
            self.now = held.now
            wait = (SEND_WINDOW + call.deadline) * held.now.scale  # machine seconds, as vendor time sees them
            wait += call.late_execution + call.list_lag + call.order_drop + ABSENCE_MARGIN
            operation = Operation(
                run_id=self.claim.run_id,
                student_id=self.provision.student_id,
                step_key=self.step_key,
                platform=call.platform,
                verb=call.verb,
                digest=call.request.digest(settings.SECRET_KEY.encode()),
                proof=call.proof,
                repeatable=call.repeatable,
                token=self.claim.token,
                price_ceilings=dict(call.price_ceilings),
                target=dict(call.target),
                send_before=held.now.machine + timedelta(seconds=SEND_WINDOW),
                absent_after=clock.later(held.now.vendor, wait),
            )
            items = [
                OperationItem(
                    operation=operation,
                    student_id=self.provision.student_id,
                    platform=call.platform,
                    verb=call.verb,
                    natural_key=key,
                )
                for key in call.items
            ]
            try:
                Fenced(self.claim).insert([operation]).insert(items).execute(lease=lease)
            except IntegrityError as error:
                raise budget.NotNow(LOOK_AGAIN, "another attempt for the same thing is not resolved yet") from error
        self._own = [*(self._own or ()), *items]
        return operation, held

    def _may_spend(self, call: Call[Any]) -> None:
        if not (call.price_ceilings or call.target):
            return
        claims.lock(self.claim)
        # Locked until the intent is committed: a cancellation comes before it, or finds it.
        state = (
            Provision.objects.select_for_update(of=("self",)).values_list("state", flat=True).get(pk=self.provision.pk)
        )
        if state in (ProvisionState.CANCELLING, ProvisionState.CANCELLED, ProvisionState.SUSPENDED):
            raise Halted(f"the order is {state}")
        if switches.purchases_paused(call.platform):
            raise Halted("purchases are paused")

    def _renew(self, operation: Operation, held: budget.Pass, call: Call[Any]) -> budget.Pass:
        try:
            return budget.renew(held, call)
        except budget.NoPermit as error:
            self._conclude(operation, OperationState.NOT_DONE, sentence=str(error))
            raise

    # ---- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, operation: Operation, call: Call[T], raw: Raw, again: frozenset[str]) -> T | None:
        """Read the answer and write the outcome. Raises what tells the step to wait or that the platform refused us."""
        error = call.classify(raw)
        request_id = raw.headers.get("x-request-id", "")
        where: dict[str, Any] = {"status": raw.status, "request_id": request_id}
        if error is None:
            try:
                reply = call.parse(raw)
            except Exception:  # noqa: BLE001 - whatever a parser raises, the shape is unknown
                log.warning("an answer of an unknown shape", extra={"platform": call.platform, "verb": call.verb})
                self._conclude(operation, OperationState.UNKNOWN, sentence="the answer has an unknown shape", **where)
                return None
            proven = call.proof != Proof.READ  # where nothing proves it, the answer has to do
            self._conclude(operation, OperationState.DONE if proven else OperationState.CAPTURED, **where)
            return reply
        return self._judge_error(operation, call, error, again, where)

    def _judge_error(
        self, operation: Operation, call: Call[T], error: PlatformError, again: frozenset[str], where: Mapping[str, Any]
    ) -> T | None:
        if isinstance(error, BadCredentials):
            self._conclude(operation, OperationState.NOT_DONE, sentence=error.sentence, **where)
            if self.accounts.is_own(call.platform):
                self.accounts.refuse(call, error)
            budget.open_circuit(call.platform, "credentials", f"{call.platform} refuses our credentials ({call.verb}).")
            raise error
        if isinstance(error, RateLimited):
            self._conclude(operation, OperationState.NOT_DONE, sentence=error.sentence, **where)
            raise error
        if isinstance(error, Rejected) and error.code in again:
            self._refusal = error
            self._conclude(
                operation, OperationState.NOT_DONE, sentence=error.sentence, evidence={"code": error.code}, **where
            )
            return None
        if isinstance(error, AlreadyExists) and EXISTS in again and len(call.items) > 1:
            # The whole request was refused, because one of its things is there already: which, the step finds out.
            self._refusal = Rejected(EXISTS, error.sentence, platform=call.platform, verb=call.verb)
            self._conclude(
                operation, OperationState.NOT_DONE, sentence=error.sentence, evidence={"code": EXISTS}, **where
            )
            return None
        if isinstance(error, AlreadyExists):
            # It is there, but is it ours? The next look decides, by our reference.
            self._conclude(
                operation, OperationState.UNKNOWN, sentence=error.sentence, evidence={"exists": True}, **where
            )
            return None
        if isinstance(error, Permanent):
            code = error.code if isinstance(error, Rejected) else "not_found"
            evidence = {"code": code, "sentence": error.sentence[:250], "status": error.status}
            self._conclude(operation, OperationState.REJECTED, sentence=error.sentence, evidence=evidence, **where)
            self._refused = error
            return None
        if isinstance(error, Retryable) and call.repeatable:
            self._conclude(operation, OperationState.NOT_DONE, sentence=error.sentence, **where)
            raise error
        self._conclude(operation, OperationState.UNKNOWN, sentence=error.sentence, **where)
        return None

    def _conclude(
        self,
        operation: Operation,
        state: OperationState,
        *,
        sentence: str = "",
        evidence: Mapping[str, Any] | None = None,
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        """Write the outcome of an operation and its items in one fenced commit."""
        failpoint("before_outcome", operation)
        items = _open(self._of(operation))
        operation.state, operation.sentence = state, sentence[:300]
        operation.status, operation.request_id = status, request_id[:120]
        operation.settled_at = clock.machine_now() if state not in UNRESOLVED else None
        for item in items:
            item.state, item.evidence = state, dict(evidence or {})
        write = Fenced(self.claim).update(items, ("state", "evidence"))
        columns = ("state", "sentence", "status", "request_id", "settled_at")
        self._write(write.update([operation], columns))
        failpoint("after_outcome", operation)


def _open(items: Iterable[OperationItem]) -> list[OperationItem]:
    """Return the items that are not resolved."""
    return [item for item in items if item.state in UNRESOLVED]


def capture_answer(operation: Operation, raw: Raw) -> None:
    """Append the raw answer. Exempt from the fence: a worker that wakes too late may hold the only copy.

    The connection may have died while the platform was thinking, the disk may be full for a moment, and the answer is in
    our memory only: whatever the database says, the insert is tried again on a new connection for a while. Raises what
    it said last.
    """
    kept = Capture(
        id=uuid.uuid4(),
        operation=operation,
        student_id=operation.student_id,
        attempt=operation.attempt,
        status=raw.status,
        headers={name: value for name, value in raw.headers.items() if name in KEPT_HEADERS},
        body=Secret(raw.body.decode("latin-1")),
    )
    for tries_left in reversed(range(CAPTURE_TRIES)):
        try:
            with transaction.atomic(durable=True):  # it must not depend on a transaction that may roll back
                # It is there already where a commit was done and its acknowledgement lost.
                Capture.objects.bulk_create([kept], ignore_conflicts=True)
            return
        except Error:
            if not tries_left:
                raise
            connection.close()
            time.sleep(CAPTURE_PAUSE)


CAPTURE_TRIES = 10
CAPTURE_PAUSE = 0.5  # machine seconds
KEPT_HEADERS = frozenset({"content-type", "retry-after", "x-request-id", "date"})


def raw_of(capture: Capture) -> Raw:
    """Return the answer as it arrived."""
    return Raw(status=capture.status, headers=capture.headers, body=capture.body.open().encode("latin-1"))
