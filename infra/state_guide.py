"""What each state means: who brings something into it, how it leaves, what the student reads, and who must act.

A table of values, one row per state of infra/models/states.py; the admin shows it beside the state. "Nobody" acts where
time or the machine does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from .models.states import (
    DnsRecordState,
    DomainState,
    MailboxState,
    OperationState,
    ParkedReason,
    ProvisionState,
    RunState,
    StepState,
    WatchState,
)

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

STUDENT, OPERATOR, NOBODY = _("the student"), _("the operator"), _("nobody")


@dataclass(frozen=True, slots=True)
class StateRow:
    """One state. `student` is the student's sentence, empty where students never meet the state."""

    meaning: StrPromise
    entered_by: StrPromise
    left_by: StrPromise
    student: StrPromise | str
    acts: StrPromise


PROVISION: Mapping[TextChoices, StateRow] = {
    ProvisionState.DRAFT: StateRow(
        _("The student is choosing; nothing is ordered."),
        _("the first page of the wizard, or a payment page that was closed or has expired"),
        _("the button that pays, or cancelling"),
        _("You have begun an order. Nothing is paid yet."),
        STUDENT,
    ),
    ProvisionState.PENDING_PAYMENT: StateRow(
        _("The order is frozen and its payment page is open, or the payment is being confirmed."),
        _("the button that pays"),
        _("a confirmed payment, or the end of the payment page"),
        _("Your order waits for its payment."),
        STUDENT,
    ),
    ProvisionState.PROVISIONING: StateRow(
        _("It is paid and being built."),
        _("a confirmed payment, or an operator's retry"),
        _("the end of its run"),
        _("We are building your infrastructure."),
        NOBODY,
    ),
    ProvisionState.ACTIVE: StateRow(
        _("Everything that was ordered works."),
        _("the end of a run without exceptions"),
        _("an upgrade, a failed renewal payment, or cancelling"),
        _("Your infrastructure is up."),
        NOBODY,
    ),
    ProvisionState.ACTIVE_WITH_EXCEPTIONS: StateRow(
        _("It works, and something that was ordered is missing."),
        _("the end of a run in which a domain or mailbox was set aside"),
        _("a retry of what failed, an upgrade, or cancelling"),
        _("Your infrastructure is up. Something is missing; the page says what."),
        OPERATOR,
    ),
    ProvisionState.UPGRADING: StateRow(
        _("It works, and the difference to a bigger package is being built."),
        _("a paid upgrade"),
        _("the end of the upgrade's run"),
        _("We are enlarging your infrastructure."),
        NOBODY,
    ),
    ProvisionState.SUSPENDED: StateRow(
        _("A payment is overdue: nothing is built and nothing is spent."),
        _("the end of the days of grace"),
        _("a payment, or the end of the contract"),
        _("Your infrastructure is suspended, because a payment is missing."),
        STUDENT,
    ),
    ProvisionState.FAILED: StateRow(
        _("Building cannot go on by itself. What was built stays."),
        _("a step that failed for the whole order"),
        _("an operator's retry, or cancelling"),
        _("The set-up has stopped. The operator is looking at it."),
        OPERATOR,
    ),
    ProvisionState.CANCELLING: StateRow(
        _("It is being taken down at the platforms."),
        _("a cancellation whose time has come"),
        _("the end of the teardown"),
        _("Your infrastructure is being closed down."),
        NOBODY,
    ),
    ProvisionState.CANCELLED: StateRow(
        _("The order is over. The student may order anew."),
        _("a cancellation"),
        _("nothing"),
        _("This order was cancelled."),
        NOBODY,
    ),
}

PARKED: Mapping[TextChoices, StateRow] = {
    ParkedReason.WAITING_VENDOR: StateRow(
        _("A platform works on it, or its rate limit makes us wait."),
        _("a step that has to look again later"),
        _("the platform's answer"),
        _("We are waiting for a supplier. Nothing is lost meanwhile."),
        NOBODY,
    ),
    ParkedReason.WAITING_FUNDS: StateRow(
        _("The operator's wallet at a platform is short."),
        _("a step that would spend more than the wallet holds"),
        _("a top-up: the next look sees it"),
        _("We are arranging the purchase. You need not do anything."),
        OPERATOR,
    ),
    ParkedReason.NEEDS_CHOICE: StateRow(
        _("A name was lost after the payment, and no spare is left."),
        _("a purchase that was refused because of the name"),
        _("the student's new name, or going on without it"),
        _("One of your names is gone. Please choose another one."),
        STUDENT,
    ),
    ParkedReason.NEEDS_STUDENT: StateRow(
        _("Only the student can do the next thing."),
        _("a step that depends on something of the student's"),
        _("the student"),
        _("We need something from you. The page says what."),
        STUDENT,
    ),
    ParkedReason.NEEDS_OPERATOR: StateRow(
        _("A person has to look at a platform; there is an item for it."),
        _("a refusal or an outcome that the machine must not guess about"),
        _("an operator's retry, skip or note that it was done by hand"),
        _("Somebody of our team is looking at your order."),
        OPERATOR,
    ),
}

RUN: Mapping[TextChoices, StateRow] = {
    RunState.QUEUED: StateRow(
        _("Due, and nobody has taken it yet."), _("a payment or a wake-up"), _("a worker's claim"), "", NOBODY
    ),
    RunState.RUNNING: StateRow(
        _("A worker holds it, for as long as its lease lasts."), _("a claim"), _("its release or its end"), "", NOBODY
    ),
    RunState.WAITING: StateRow(
        _("It looks again when its next time has come."), _("a release"), _("that time, or a wake-up"), "", NOBODY
    ),
    RunState.PARKED: StateRow(
        _("Only a person can move it; it still looks from time to time."),
        _("a release while everything open waits for people"),
        _("the person's act, or the next look"),
        "",
        OPERATOR,
    ),
    RunState.FAILED: StateRow(
        _("It cannot go on by itself."),
        _("a step that failed for the whole run"),
        _("an operator's retry, or cancelling"),
        _("The set-up has stopped. The operator is looking at it."),
        OPERATOR,
    ),
    RunState.DONE: StateRow(
        _("Every step is closed."), _("its last step"), _("a retry of what was set aside"), "", NOBODY
    ),
    RunState.CANCELLED: StateRow(_("Given up with its order."), _("a cancellation"), _("nothing"), "", NOBODY),
}

STEP: Mapping[TextChoices, StateRow] = {
    StepState.PENDING: StateRow(
        _("Its turn has not come, or it is due now."),
        _("the beginning of the run, or a retry"),
        _("its first attempt"),
        _("To do"),
        NOBODY,
    ),
    StepState.IN_PROGRESS: StateRow(
        _("It is being tried at this moment."), _("an attempt"), _("the attempt's answer"), _("In progress"), NOBODY
    ),
    StepState.WAITING: StateRow(
        _("It was tried and looks again later; the row says whom it waits for."),
        _("an answer that was no end"),
        _("the next look"),
        _("Waiting"),
        NOBODY,
    ),
    StepState.COMPLETED: StateRow(_("It is proven."), _("its proof"), _("nothing"), _("Done"), NOBODY),
    StepState.FAILED: StateRow(
        _("It cannot be done; its item is set aside, or the run has failed."),
        _("a refusal for good, a deadline, or an operator's skip"),
        _("an operator's retry, or a note that it was done by hand"),
        _("Failed"),
        OPERATOR,
    ),
    StepState.SKIPPED: StateRow(
        _("Its item left before its turn came."),
        _("an earlier step of the item that failed"),
        _("a retry of that step"),
        _("Left out"),
        NOBODY,
    ),
}

OPERATION: Mapping[TextChoices, StateRow] = {
    OperationState.INTENDED: StateRow(
        _("Stored, and about to be sent; without an answer it becomes unknown."),
        _("the commit before the request"),
        _("an answer, or the next look at the platform"),
        "",
        NOBODY,
    ),
    OperationState.CAPTURED: StateRow(
        _("Accepted by the platform; the thing itself has not been seen yet."),
        _("an answer that proves nothing by itself"),
        _("a look that finds it, or proves it absent"),
        "",
        NOBODY,
    ),
    OperationState.DONE: StateRow(_("Proven."), _("the answer, or a look at the platform"), _("nothing"), "", NOBODY),
    OperationState.REJECTED: StateRow(
        _("The platform refused it for good."), _("its refusal"), _("an operator's retry"), "", OPERATOR
    ),
    OperationState.NOT_DONE: StateRow(
        _("It certainly was not carried out: not sent, or refused for the moment."),
        _("a refused connection, a rate limit, or a refusal that means later"),
        _("nothing; the next attempt is an operation of its own"),
        "",
        NOBODY,
    ),
    OperationState.UNKNOWN: StateRow(
        _("It was sent and the answer was lost or made no sense. Nobody sends it again blindly."),
        _("a time-out, a broken answer, or a crash"),
        _("a look that finds it, the bounded rule of absence, or a person"),
        "",
        NOBODY,
    ),
    OperationState.ABSENT: StateRow(
        _("Looked for long enough and not there: it may be sent again."),
        _("two looks in vain after its bounds have passed"),
        _("nothing; the next attempt is an operation of its own"),
        "",
        NOBODY,
    ),
}

DOMAIN: Mapping[TextChoices, StateRow] = {
    DomainState.SELECTED: StateRow(
        _("Chosen, not bought."), _("the student's choice"), _("the purchase"), _("Chosen"), NOBODY
    ),
    DomainState.SPARE: StateRow(
        _("Takes the place of a name that is lost."),
        _("the student's choice"),
        _("a lost name"),
        _("Spare, used if one of your names is gone"),
        NOBODY,
    ),
    DomainState.LOST: StateRow(
        _("Somebody else has it, or it became too dear; or its student left a domain of their own out."),
        _("a refused purchase, or the student's choice"),
        _("nothing"),
        _("Lost to somebody else; of your own domain: left out"),
        NOBODY,
    ),
    DomainState.PURCHASING: StateRow(
        _("The purchase is on its way."), _("the request"), _("the platform's list"), _("Being registered"), NOBODY
    ),
    DomainState.PENDING_NAMESERVERS: StateRow(
        _("The student's own domain, not led to us yet; or not said yet that what lies there may stop."),
        _("the platform that expects it"),
        _("the new name servers, seen at the servers above, or another domain in its place"),
        _("Waiting for you to change its name servers"),
        STUDENT,
    ),
    DomainState.NAMESERVERS_VERIFIED: StateRow(
        _("The student's own domain leads to us; its platform takes it up, and its records are made."),
        _("a look at its name servers"),
        _("its records, as those of a bought domain"),
        _("Name servers found"),
        NOBODY,
    ),
    DomainState.DNS_PENDING: StateRow(
        _("Bought, or led to us by its owner; its address records are being made and looked for."),
        _("the purchase, once seen, or the name servers of an own domain"),
        _("the platform's word that the domain is active, or the records seen in public DNS"),
        _("Being connected"),
        NOBODY,
    ),
    DomainState.CONNECTED: StateRow(
        _("Active; its DMARC record is missing yet."),
        _("the platform's word"),
        _("the confirmed DMARC record"),
        _("Connected"),
        NOBODY,
    ),
    DomainState.ACTIVE: StateRow(
        _("Complete."), _("the last of its records, confirmed"), _("its expiry or release"), _("Active"), NOBODY
    ),
    DomainState.FAILED: StateRow(
        _("Set aside; the other domains go on."),
        _("a failed step or an operator's skip"),
        _("an operator's retry"),
        _("Could not be set up"),
        OPERATOR,
    ),
    DomainState.EXPIRED: StateRow(_("Its paid time has ended."), _("its date"), _("nothing"), _("Expired"), NOBODY),
    DomainState.RELEASED: StateRow(
        _("Never bought, or left out of a smaller package."),
        _("a cancellation, or a change to a smaller package"),
        _("nothing"),
        _("Released"),
        NOBODY,
    ),
}

MAILBOX: Mapping[TextChoices, StateRow] = {
    MailboxState.PLANNED: StateRow(
        _("Ordered; its domain is not ready yet."), _("the order"), _("the request"), _("Planned"), NOBODY
    ),
    MailboxState.CREATING: StateRow(
        _("Asked for at the platform."), _("the request"), _("the platform's word"), _("Being created"), NOBODY
    ),
    MailboxState.CREATED: StateRow(
        _("Active at its platform; not in the sending tool yet."),
        _("the platform's word"),
        _("the sending tool's list"),
        _("Created"),
        NOBODY,
    ),
    MailboxState.CONNECTED: StateRow(
        _("Seen in the sending tool."), _("its list"), _("the confirmed warmup"), _("Connected"), NOBODY
    ),
    MailboxState.WARMING: StateRow(
        _("Warmup runs; nothing else may be sent yet."),
        _("the confirmed warmup"),
        _("its days and its health"),
        _("Warming up"),
        NOBODY,
    ),
    MailboxState.READY: StateRow(
        _("Sending may start."), _("the end of a healthy warmup"), _("bad health, or its end"), _("Ready"), STUDENT
    ),
    MailboxState.SUSPENDED: StateRow(
        _("Stopped with its order, or by its platform."),
        _("a missing payment, or the platform"),
        _("the payment, or the platform"),
        _("Suspended"),
        STUDENT,
    ),
    MailboxState.FAILED: StateRow(
        _("Set aside; the other mailboxes go on."),
        _("a failed step or an operator's skip"),
        _("an operator's retry"),
        _("Could not be set up"),
        OPERATOR,
    ),
    MailboxState.REMOVED: StateRow(
        _("Gone with its domain or order; its address is free."),
        _("a dropped domain or a cancellation"),
        _("nothing"),
        _("Removed"),
        NOBODY,
    ),
}

DNS_RECORD: Mapping[TextChoices, StateRow] = {
    DnsRecordState.PLANNED: StateRow(
        _("It will be written; its turn has not come."),
        _("the order"),
        _("the step that writes it"),
        _("It is written when the set-up comes to it."),
        NOBODY,
    ),
    DnsRecordState.CREATED: StateRow(
        _("Written; no name server has shown it yet."),
        _("the platform's list"),
        _("a look that sees it"),
        _("It is written. Name servers do not show it yet, which takes minutes as a rule."),
        NOBODY,
    ),
    DnsRecordState.PROPAGATING: StateRow(
        _("Some name servers show it, others not yet."),
        _("a look"),
        _("a look that sees it everywhere"),
        _("Some name servers show it, others still keep what was there before."),
        NOBODY,
    ),
    DnsRecordState.PROPAGATED: StateRow(
        _("Every name server that was asked shows it, the domain's own first."),
        _("a look"),
        _("a change"),
        _("It is there."),
        NOBODY,
    ),
    DnsRecordState.DRIFTED: StateRow(
        _("It was there, and the domain's own servers say something else now."),
        _("a look"),
        _("a look that sees it again, or a change that writes it"),
        _("It was there and is not any more, or says something else. If you changed it, change it back."),
        STUDENT,
    ),
    DnsRecordState.FAILED: StateRow(
        _("Another record stands in its way, or it was not seen within two days."),
        _("a look, or the end of a watch"),
        _("a look that sees it"),
        _("It does not work as it stands. Ask the operator, and let us watch on."),
        OPERATOR,
    ),
}

WATCH: Mapping[TextChoices, StateRow] = {
    WatchState.POLLING: StateRow(
        _("The name servers are asked again and again, ever more rarely."),
        _("a student's click, or a change that was written"),
        _("seeing everything, two days, or a click"),
        _("We look every half minute at first, then more rarely, for two days. You can close the page."),
        NOBODY,
    ),
    WatchState.COMPLETED: StateRow(
        _("Every record was seen everywhere."),
        _("a look"),
        _("nothing"),
        _("Every record was seen everywhere."),
        NOBODY,
    ),
    WatchState.TIMEOUT: StateRow(
        _("Two days have passed, and something is not seen everywhere."),
        _("two days of looks"),
        _("a click that lets it go on"),
        _("Two days have passed and not everything is seen. Press “Keep watching”, and ask the operator."),
        STUDENT,
    ),
    WatchState.CANCELLED: StateRow(
        _("Stopped by its student."), _("a click"), _("a click that lets it go on"), _("You have stopped it."), NOBODY
    ),
}

GUIDE: Mapping[type[TextChoices], Mapping[TextChoices, StateRow]] = {
    ProvisionState: PROVISION,
    ParkedReason: PARKED,
    RunState: RUN,
    StepState: STEP,
    OperationState: OPERATION,
    DomainState: DOMAIN,
    MailboxState: MAILBOX,
    DnsRecordState: DNS_RECORD,
    WatchState: WATCH,
}
