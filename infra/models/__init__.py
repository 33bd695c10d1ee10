"""The student's infrastructure, as rows. One file each."""

from .authentication_test import AuthenticationTest, TrialState
from .counter import Counter, KeyCanary
from .credential import Credential, CredentialReveal
from .dns import DnsCheck, PropagationObservation, PropagationWatch, SpfFlattening
from .domain import Domain, DomainHold, Origin
from .flag import Flag
from .inventory import Inventory, MailboxSecret, RenewalChoice
from .mail import Mail
from .mailbox import Mailbox
from .name_check import NameAnswer, NameCheck
from .operator_item import OperatorItem
from .order_line import OrderLine
from .platform_connection import PlatformConnection
from .provision import Provision
from .registration import Registration
from .states import (
    UNRESOLVED,
    DnsRecordState,
    DomainState,
    MailboxState,
    OperationState,
    ParkedReason,
    ProvisionState,
    RunKind,
    RunState,
    StepState,
    WatchState,
)
from .tier import Tier
from .user import User
from .warmup_day import Connection, Measurement, TaskDone, WarmupDay

__all__ = [
    "UNRESOLVED",
    "AuthenticationTest",
    "Connection",
    "Counter",
    "Credential",
    "CredentialReveal",
    "DnsCheck",
    "DnsRecordState",
    "Domain",
    "DomainHold",
    "DomainState",
    "Flag",
    "Inventory",
    "KeyCanary",
    "Mail",
    "Mailbox",
    "MailboxSecret",
    "MailboxState",
    "Measurement",
    "NameAnswer",
    "NameCheck",
    "OperationState",
    "OperatorItem",
    "OrderLine",
    "Origin",
    "ParkedReason",
    "PlatformConnection",
    "PropagationObservation",
    "PropagationWatch",
    "Provision",
    "ProvisionState",
    "Registration",
    "RenewalChoice",
    "RunKind",
    "RunState",
    "SpfFlattening",
    "StepState",
    "TaskDone",
    "Tier",
    "TrialState",
    "User",
    "WarmupDay",
    "WatchState",
]
