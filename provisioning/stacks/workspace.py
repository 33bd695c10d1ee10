"""The `workspace` stack: domains that the student owns, their DNS at Cloudflare, mailboxes at Google Workspace,
sending and warmup at Smartlead.

Read it from top to bottom: that is the order in which each domain and mailbox goes. Times are the platforms' time. Three
things are a person's, because no call of Google's does them: making the DKIM key, the app passwords, and starting to sign,
which a received message has to show.
"""

from __future__ import annotations

from functools import partial

from django.utils.translation import gettext_lazy as _

from infra.dns.dmarc import Rung
from infra.models import DomainState, MailboxState, Origin, ProvisionState

from ..engine import endings
from ..engine.holding import Holding
from ..engine.measuring import Measuring
from ..engine.specs import (
    DAY,
    HOUR,
    MINUTE,
    Ending,
    Pipeline,
    Pitch,
    Scope,
    StackSpec,
    Stage,
    StepSpec,
)  # fmt: skip
from ..engine.zoning import FLATTEN, POLICY, RESTORE, Zoning
from ..steps import finish, owning
from ..steps.workspace import figures, google, holding, leading, made_by_hand, registering, sender, signing, zones

STAGES = (
    Stage("payment", _("Payment"), _("Your payment is confirmed.")),
    Stage("domains", _("Domains"), _("Your domains are being connected.")),
    Stage("records", _("Address records"), _("The records that mail needs are being written and seen.")),
    Stage("mailboxes", _("Mailboxes"), _("Your mailboxes are being created.")),
    Stage("signing", _("Signature"), _("Your mail is being signed in your domain's name.")),
    Stage("sending", _("Sending tool"), _("Your mailboxes are being connected to the sending tool.")),
    Stage("warmup", _("Warmup"), _("Warmup is being switched on.")),
)

PITCH = Pitch(
    title=_("Mailboxes on domains you own"),
    text=_("Your domains stay with your registrar; their mail is handled by Google Workspace."),
    included=(
        _("Address records, SPF, DKIM and DMARC set for you, and seen by us"),
        _("Mailboxes at Google Workspace"),
        _("A sending tool with warmup switched on"),
    ),
    ready=_("2-4 days, once you have changed the name servers"),
    sending_tool="SMARTLEAD_TOOL_URL",
    left_out=_(
        "Its warmup stops, and its Google accounts are suspended with everything in them. The domains stay yours, and so do"
        " their records: lead them elsewhere at your registrar whenever you like."
    ),
    later=_("You can add other domains later. One that was left out does not come back into this set-up."),
)

RUN, DOMAIN, MAILBOX = Scope.RUN, Scope.DOMAIN, Scope.MAILBOX
OWN = Origin.OWN

STEPS = (
    StepSpec("registered", DOMAIN, "Registering names in the student's GoDaddy account", "domains",
             registering.registered, origin=OWN, poll=30, deadline=2 * DAY, usual=(0, 10 * MINUTE),
             begins=DomainState.PURCHASING, ends=DomainState.SELECTED, notes=("registered_at",)),
    StepSpec("own_before", DOMAIN, "Looking at the student's own domains", "domains", owning.first_look,
             origin=OWN, poll=5 * MINUTE),
    StepSpec("zones", DOMAIN, "Making Cloudflare zones", "domains", zones.zones,
             origin=OWN, poll=MINUTE, deadline=6 * HOUR, usual=(0, 15 * MINUTE),
             asks="cloudflare", notes=("cloudflare_zone_id", "nameservers")),
    StepSpec("nameservers", DOMAIN, "Waiting for the owner's nameservers", "domains", leading.nameservers,
             origin=OWN, poll=5 * MINUTE, usual=(10 * MINUTE, 1 * DAY),
             begins=DomainState.PENDING_NAMESERVERS, ends=DomainState.NAMESERVERS_VERIFIED, notes=("connected",)),
    StepSpec("zone_active", DOMAIN, "Waiting for the zones", "domains", zones.zone_active,
             origin=OWN, poll=MINUTE, slowest=HOUR, deadline=2 * DAY, usual=(5 * MINUTE, 1 * DAY), asks="cloudflare"),
    StepSpec("google_domains", DOMAIN, "Adding the domains to Google Workspace", "records", google.domains,
             poll=MINUTE, deadline=6 * HOUR, asks="google_workspace", notes=("google_txt",)),
    StepSpec("records", DOMAIN, "Writing the records", "records", zones.records,
             poll=MINUTE, deadline=6 * HOUR, begins=DomainState.DNS_PENDING,
             asks="cloudflare", notes=("dns_records", "dns_read_at")),
    StepSpec("records_seen", DOMAIN, "Seeing the records in public DNS", "records", zones.seen,
             poll=30, slowest=HOUR, deadline=2 * DAY, usual=(MINUTE, 1 * HOUR),
             ends=DomainState.CONNECTED, notes=("dns_evidence",)),
    StepSpec("google_verified", DOMAIN, "Proving the domains to Google", "records", google.verified,
             poll=2 * MINUTE, deadline=2 * DAY, usual=(MINUTE, 1 * HOUR), asks="google_workspace"),
    StepSpec("account_passwords", MAILBOX, "Choosing passwords", "mailboxes", google.choose_passwords),
    StepSpec("users", MAILBOX, "Creating users", "mailboxes", google.users,
             poll=MINUTE, deadline=6 * HOUR, begins=MailboxState.CREATING, ends=MailboxState.CREATING,
             asks="google_workspace", notes=("google_user_id",)),
    StepSpec("mailboxes_ready", MAILBOX, "Creating users: mailboxes", "mailboxes", google.mailboxes_ready,
             poll=2 * MINUTE, deadline=1 * DAY, usual=(MINUTE, 2 * HOUR), asks="google_workspace"),
    StepSpec("imap", MAILBOX, "Switching IMAP on", "mailboxes", google.imap,
             poll=2 * MINUTE, deadline=1 * DAY, ends=MailboxState.CREATED, asks="google_workspace"),
    StepSpec("dkim_keys", DOMAIN, "Making the DKIM key in Google's console", "signing", made_by_hand.dkim_keys,
             entry=made_by_hand.DKIM_KEY, deadline=7 * DAY, usual=(0, 3 * DAY), notes=("dkim_record",)),
    StepSpec("dkim_published", DOMAIN, "Publishing the DKIM key", "signing", zones.dkim_published,
             poll=MINUTE, slowest=HOUR, deadline=2 * DAY, usual=(MINUTE, 1 * HOUR),
             ends=DomainState.ACTIVE, asks="cloudflare"),
    StepSpec("accounts", MAILBOX, "Connecting the mailboxes to Smartlead", "sending", sender.accounts,
             entry=made_by_hand.APP_PASSWORD_OF, poll=MINUTE, deadline=7 * DAY, usual=(0, 3 * DAY),
             ends=MailboxState.CONNECTED, asks="smartlead", notes=("smartlead_account_id",)),
    StepSpec("signed", DOMAIN, "Seeing that mail is signed", "signing", signing.signed,
             entry=made_by_hand.SIGNING, poll=30, deadline=7 * DAY, usual=(MINUTE, 1 * DAY), notes=("signed_at",)),
    StepSpec("limits", MAILBOX, "Setting limits and tracking", "sending", sender.limits,
             poll=MINUTE, deadline=6 * HOUR, asks="smartlead", notes=("tracking_host",)),
    StepSpec("warmup", MAILBOX, "Configuring warmup", "warmup", sender.warmup,
             poll=MINUTE, deadline=6 * HOUR, ends=MailboxState.WARMING, asks="smartlead", notes=("warmup",)),
    StepSpec("finish", RUN, "Setup complete", "warmup", finish.finish),
)  # fmt: skip

REST = StepSpec("rest", MAILBOX, "Letting warmup rest", "", sender.rest,
                poll=30, deadline=6 * HOUR, ends=MailboxState.SUSPENDED, asks="smartlead", notes=("warmup",))  # fmt: skip

PAUSE = Pipeline((REST,), Ending())

RESUME = Pipeline((
    StepSpec("resume", MAILBOX, "Resuming warmup", "", sender.warmup,
             poll=30, deadline=6 * HOUR, ends=MailboxState.WARMING, asks="smartlead", notes=("warmup",)),
), Ending(act=endings.go_on))  # fmt: skip

SUSPEND = StepSpec("suspend", MAILBOX, "Suspending the accounts", "", google.suspend,
                   poll=30, deadline=6 * HOUR, asks="google_workspace")  # fmt: skip

TEARDOWN = Pipeline((
    REST,
    SUSPEND,
    StepSpec("records_taken_back", DOMAIN, "Taking records back", "", zones.taken_back,
             poll=MINUTE, deadline=6 * HOUR, asks="cloudflare", notes=("records_taken_back",)),
), Ending(done=ProvisionState.CANCELLED, partly=ProvisionState.CANCELLED, act=endings.torn_down))  # fmt: skip

# Domains that are added go the same way as the first ones: nothing of it is made once for the whole.
UPGRADE = Pipeline(
    STEPS,
    Ending(done=ProvisionState.ACTIVE, partly=ProvisionState.ACTIVE_WITH_EXCEPTIONS,
           ready="upgraded", missing="ready_with_exceptions", act=endings.grow),
    STAGES,
)  # fmt: skip

# Domains that are left out: they and their records stay as they are, for they are the student's.
DOWNGRADE = Pipeline((REST, SUSPEND), endings.SMALLER)

# What a student wants changed of a domain's records: short runs, proven by the zone's list; name servers are watched after.
CHANGE = partial(StepSpec, scope=DOMAIN, stage="", function=zones.change, poll=30, deadline=6 * HOUR, asks="cloudflare")
CHANGES = {
    POLICY: Pipeline((CHANGE(key="policy_written", label="Changing the DMARC policy"),),
                     Ending(act=endings.changed)),
    FLATTEN: Pipeline((CHANGE(key="spf_flattened", label="Writing addresses into SPF"),),
                      Ending(act=endings.flattened)),
    RESTORE: Pipeline((CHANGE(key="spf_restored", label="Writing the SPF record back"),),
                      Ending(act=endings.restored)),
}  # fmt: skip

WORKSPACE = StackSpec(
    key="workspace",
    title="Cloudflare, Google Workspace, Smartlead",
    version=1,
    stages=STAGES,
    steps=STEPS,
    pitch=PITCH,
    connections=("google_workspace", "smartlead"),
    helpers=("godaddy",),
    takes_people=True,
    pipelines={
        "upgrade": UPGRADE,
        "downgrade": DOWNGRADE,
        "pause": PAUSE,
        "resume": RESUME,
        "teardown": TEARDOWN,
        **CHANGES,
    },
    measuring=Measuring(figures=figures.figures, supplied=figures.SUPPLIED),
    holding=Holding(
        domains=holding.domains,
        mailboxes=holding.mailboxes,
        records=holding.records,
        servers=holding.servers,
        how_to_switch="the domain's own registrar",
    ),
    zoning=Zoning(zones.expected, tuple(Rung), is_written_by_us=True),
)
