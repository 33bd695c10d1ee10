"""The one vocabulary of states. `tests/unit/infra/test_states.py` compares it with the specification's table."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ProvisionState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    PENDING_PAYMENT = "pending_payment", _("Waiting for payment")
    PROVISIONING = "provisioning", _("Being built")
    ACTIVE = "active", _("Active")
    ACTIVE_WITH_EXCEPTIONS = "active_with_exceptions", _("Active, with exceptions")
    UPGRADING = "upgrading", _("Being upgraded")
    SUSPENDED = "suspended", _("Suspended")
    FAILED = "failed", _("Failed")
    CANCELLING = "cancelling", _("Being cancelled")
    CANCELLED = "cancelled", _("Cancelled")


class ParkedReason(models.TextChoices):
    WAITING_VENDOR = "waiting_vendor", _("Waiting for a platform")
    WAITING_FUNDS = "waiting_funds", _("Waiting for funds")
    NEEDS_CHOICE = "needs_choice", _("Needs a choice")
    NEEDS_STUDENT = "needs_student", _("Needs the student")
    NEEDS_OPERATOR = "needs_operator", _("Needs the operator")


class RunKind(models.TextChoices):
    SETUP = "setup", _("Set-up")
    UPGRADE = "upgrade", _("Upgrade")
    DOWNGRADE = "downgrade", _("Downgrade")
    TEARDOWN = "teardown", _("Teardown")
    RENEWAL = "renewal", _("Renewal")
    BATCH = "batch", _("Batch")
    CHANGE = "change", _("Change")


class RunState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    WAITING = "waiting", _("Waiting")
    PARKED = "parked", _("Parked")
    FAILED = "failed", _("Failed")
    DONE = "done", _("Done")
    CANCELLED = "cancelled", _("Cancelled")


class StepState(models.TextChoices):
    PENDING = "pending", _("Pending")
    IN_PROGRESS = "in_progress", _("In progress")
    WAITING = "waiting", _("Waiting")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    SKIPPED = "skipped", _("Skipped")


class OperationState(models.TextChoices):
    INTENDED = "intended", _("Intended")
    CAPTURED = "captured", _("Captured")
    DONE = "done", _("Done")
    REJECTED = "rejected", _("Rejected")
    NOT_DONE = "not_done", _("Not done")
    UNKNOWN = "unknown", _("Unknown")
    ABSENT = "absent", _("Absent")


UNRESOLVED = (OperationState.INTENDED, OperationState.CAPTURED, OperationState.UNKNOWN)


class DomainState(models.TextChoices):
    SELECTED = "selected", _("Selected")
    SPARE = "spare", _("Spare")
    LOST = "lost", _("Lost")
    PURCHASING = "purchasing", _("Being bought")
    PENDING_NAMESERVERS = "pending_nameservers", _("Waiting for nameservers")
    NAMESERVERS_VERIFIED = "nameservers_verified", _("Nameservers verified")
    DNS_PENDING = "dns_pending", _("Waiting for address records")
    CONNECTED = "connected", _("Connected")
    ACTIVE = "active", _("Active")
    FAILED = "failed", _("Failed")
    EXPIRED = "expired", _("Expired")
    RELEASED = "released", _("Released")


class MailboxState(models.TextChoices):
    PLANNED = "planned", _("Planned")
    CREATING = "creating", _("Being created")
    CREATED = "created", _("Created")
    CONNECTED = "connected", _("Connected")
    WARMING = "warming", _("Warming up")
    READY = "ready", _("Ready")
    SUSPENDED = "suspended", _("Suspended")
    FAILED = "failed", _("Failed")
    REMOVED = "removed", _("Removed")


class DnsRecordState(models.TextChoices):
    PLANNED = "planned", _("Planned")
    CREATED = "created", _("Created")
    PROPAGATING = "propagating", _("Propagating")
    PROPAGATED = "propagated", _("Propagated")
    DRIFTED = "drifted", _("Drifted")
    FAILED = "failed", _("Failed")


class WatchState(models.TextChoices):
    POLLING = "polling", _("Watching")
    COMPLETED = "completed", _("Completed")
    TIMEOUT = "timeout", _("Timed out")
    CANCELLED = "cancelled", _("Stopped")
