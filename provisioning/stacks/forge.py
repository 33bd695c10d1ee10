"""The `forge` stack: domains, mailboxes and dedicated IPs from InfraForge, sending by Salesforge, warmup by Warmforge.

Read it from top to bottom: that is the order in which each domain and mailbox goes. Times are the platforms' time.
"""

from __future__ import annotations

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
    GivesUpTo,
    Needs,
    Pipeline,
    Pitch,
    Scope,
    StackSpec,
    Stage,
    StepSpec,
)  # fmt: skip
from ..engine.spending import Cost, Every, Of
from ..engine.zoning import POLICY, Zoning, listed
from ..steps import finish, owning, passwords
from ..steps.forge import domains, ending, figures, holding, mailboxes, sender, workspaces

STAGES = (
    Stage("payment", _("Payment"), _("Your payment is confirmed.")),
    Stage("address", _("Sending address"), _("Your dedicated sending address is being set up.")),
    Stage("domains", _("Domains"), _("We are registering your domains.")),
    Stage("records", _("Address records"), _("The domains are being connected to the internet's address books.")),
    Stage("mailboxes", _("Mailboxes"), _("Your mailboxes are being created.")),
    Stage("sending", _("Sending tool"), _("Your mailboxes are being connected to the sending tool.")),
    Stage("warmup", _("Warmup"), _("Warmup is being switched on.")),
)

PITCH = Pitch(
    title=_("Mailboxes on sending addresses of your own"),
    text=_("Your mail leaves from IP addresses that nobody else uses, so nobody else can spoil their name."),
    included=(
        _("Address records, SPF, DKIM and DMARC set for you, and seen by us"),
        _("A sending tool with warmup switched on"),
        _("Health of every mailbox, measured each day"),
    ),
    ready=_("2-4 hours, up to 2 days"),
    domain_year_cents=1400,
    sending_tool="SALESFORGE_TOOL_URL",
    not_smaller=_(
        "Mailboxes on sending addresses of your own cannot be ended one by one for the end of a period: taking one away"
        " deletes its mail and its warmup at once, and a sending address ends together with everything that sends from it."
        " If you want less, cancel at the end of the period on the dashboard, and order the smaller package then, with new"
        " domains."
    ),
)

RUN, DOMAIN, MAILBOX = Scope.RUN, Scope.DOMAIN, Scope.MAILBOX
BOUGHT, OWN = Origin.BOUGHT, Origin.OWN

STEPS = (
    StepSpec("balance", RUN, "Buying at InfraForge: credits", "address", workspaces.balance, asks="infraforge"),
    StepSpec("workspaces", RUN, "Creating InfraForge workspaces", "address", workspaces.workspaces, poll=30,
             asks="infraforge", notes=("infraforge_workspaces",)),
    StepSpec("dedicated_ips", RUN, "Attaching dedicated IPs", "address", workspaces.dedicated_ips,
             poll=2 * MINUTE, deadline=1 * DAY, usual=(MINUTE, 30 * MINUTE),
             asks="infraforge", notes=("dedicated_ips", "mail_servers")),
    StepSpec("buy_domains", DOMAIN, "Purchasing domains", "domains", domains.buy_domains,
             origin=BOUGHT, poll=MINUTE, deadline=6 * HOUR, usual=(MINUTE, 15 * MINUTE),
             begins=DomainState.PURCHASING, ends=DomainState.DNS_PENDING,
             asks="infraforge", notes=("infraforge_domain_id", "infraforge_workspace_id", "bought")),
    StepSpec("own_before", DOMAIN, "Looking at the student's own domains", "domains", owning.first_look,
             origin=OWN, poll=5 * MINUTE),
    StepSpec("connect_domains", DOMAIN, "Connecting the student's own domains", "domains", domains.connect_domains,
             origin=OWN, poll=MINUTE, deadline=6 * HOUR, asks="infraforge",
             notes=("infraforge_domain_id", "infraforge_workspace_id", "nameservers")),
    StepSpec("nameservers", DOMAIN, "Waiting for the owner's nameservers", "domains", owning.nameservers,
             origin=OWN, poll=5 * MINUTE, usual=(10 * MINUTE, 1 * DAY),
             begins=DomainState.PENDING_NAMESERVERS, ends=DomainState.NAMESERVERS_VERIFIED, notes=("connected",)),
    StepSpec("own_active", DOMAIN, "Waiting for the student's own domains", "domains", domains.domains_active,
             origin=OWN, poll=5 * MINUTE, slowest=HOUR, deadline=2 * DAY, usual=(HOUR, 1 * DAY), asks="infraforge"),
    StepSpec("domains_active", DOMAIN, "Waiting for the domains", "domains", domains.domains_active,
             origin=BOUGHT, poll=MINUTE, deadline=2 * HOUR, usual=(5 * MINUTE, 1 * HOUR), asks="infraforge"),
    StepSpec("renewal_on", DOMAIN, "Switching renewal on", "domains", domains.renewal_on,
             origin=BOUGHT, gather=5 * MINUTE, poll=MINUTE, deadline=6 * HOUR, asks="infraforge", notes=("renewal",)),
    StepSpec("dmarc", DOMAIN, "Setting up DMARC", "records", domains.dmarc,
             gather=5 * MINUTE, poll=MINUTE, deadline=6 * HOUR, usual=(MINUTE, 20 * MINUTE),
             asks="infraforge", notes=("dmarc_report_email",)),
    StepSpec("records", DOMAIN, "Seeing the records in public DNS", "records", domains.records,
             poll=2 * MINUTE, slowest=HOUR, deadline=2 * DAY, usual=(2 * MINUTE, 1 * HOUR),
             begins=DomainState.DNS_PENDING, ends=DomainState.ACTIVE,
             asks="infraforge", notes=("dns_evidence",)),
    StepSpec("mailboxes", MAILBOX, "Creating mailboxes", "mailboxes", mailboxes.mailboxes,
             poll=MINUTE, deadline=6 * HOUR, usual=(MINUTE, 15 * MINUTE),
             begins=MailboxState.CREATING, ends=MailboxState.CREATING,
             asks="infraforge", notes=("infraforge_mailbox_id",)),
    StepSpec("mailboxes_active", MAILBOX, "Creating mailboxes: active", "mailboxes", mailboxes.mailboxes_active,
             poll=MINUTE, deadline=1 * DAY, usual=(MINUTE, 1 * HOUR), ends=MailboxState.CREATED, asks="infraforge"),
    StepSpec("choose_passwords", MAILBOX, "Choosing passwords", "mailboxes", passwords.choose),
    StepSpec("set_passwords", MAILBOX, "Setting passwords", "mailboxes", mailboxes.set_passwords,
             gather=5 * MINUTE, poll=MINUTE, deadline=6 * HOUR, asks="infraforge", notes=("password_set",)),
    StepSpec("sending_workspace", RUN, "Creating Salesforge workspace", "sending", workspaces.sending_workspace,
             poll=30, needs=Needs.FIRST, asks="salesforge", notes=("salesforge_workspace_id",)),
    StepSpec("warmup_workspace", RUN, "Creating Warmforge workspace", "sending", workspaces.warmup_workspace,
             poll=30, needs=Needs.FIRST, asks="warmforge", notes=("warmforge_workspace_id",)),
    StepSpec("export", MAILBOX, "Exporting mailboxes to Salesforge", "sending", sender.export,
             gather=15 * MINUTE, poll=30, deadline=12 * HOUR, usual=(MINUTE, 15 * MINUTE),
             asks="infraforge", notes=("exported",)),
    StepSpec("accounts_seen", MAILBOX, "Exporting mailboxes to Salesforge: seen", "sending", sender.accounts_seen,
             poll=MINUTE, deadline=1 * DAY, usual=(MINUTE, 20 * MINUTE), gives_up_to=GivesUpTo.SET_ASIDE,
             ends=MailboxState.CONNECTED, asks="salesforge", notes=("salesforge_mailbox_id", "warmforge_mailbox_id")),
    StepSpec("warmup", MAILBOX, "Configuring warmup", "warmup", sender.warmup,
             gather=5 * MINUTE, poll=30, deadline=6 * HOUR, usual=(30, 5 * MINUTE), ends=MailboxState.WARMING,
             asks="warmforge", notes=("warmup",)),
    StepSpec("finish", RUN, "Setup complete", "warmup", finish.finish),
)  # fmt: skip

REST = StepSpec("rest", MAILBOX, "Letting warmup and campaigns rest", "", sender.rest,
                poll=30, deadline=6 * HOUR, usual=(30, 5 * MINUTE), ends=MailboxState.SUSPENDED,
                asks="warmforge", notes=("warmup",))  # fmt: skip

PAUSE = Pipeline((REST,), Ending())

RESUME = Pipeline((
    StepSpec("resume", MAILBOX, "Resuming warmup", "", sender.warmup,
             poll=30, deadline=6 * HOUR, usual=(30, 5 * MINUTE), ends=MailboxState.WARMING,
             asks="warmforge", notes=("warmup",)),
), Ending(act=endings.go_on))  # fmt: skip

TEARDOWN = Pipeline((
    REST,
    StepSpec("keep_records", DOMAIN, "Keeping the domains' records", "", ending.keep_records, asks="infraforge"),
    StepSpec("renewal_off", DOMAIN, "Switching the domains' renewal off", "", domains.renewal_off,
             origin=BOUGHT, poll=MINUTE, deadline=1 * DAY, asks="infraforge", notes=("renewal",)),
    StepSpec("end_subscriptions", RUN, "Ending what is paid by the month", "", ending.end_subscriptions,
             poll=HOUR, asks="infraforge"),
), Ending(done=ProvisionState.CANCELLED, partly=ProvisionState.CANCELLED, act=endings.torn_down))  # fmt: skip

COSTS = (
    Cost(
        Of.IP, "infraforge", "create_workspace", "InfraForge", _("dedicated IP"), "dedicated_ip_cost_cents", Every.MONTH
    ),
    Cost(Of.DOMAIN, "infraforge", "buy_domains", "InfraForge", _("domain"), "forge_domain_cost_cents", Every.YEAR),
    Cost(
        Of.MAILBOX,
        "infraforge",
        "create_mailboxes",
        "InfraForge",
        _("mailbox"),
        "forge_mailbox_cost_cents",
        Every.MONTH,
    ),
)

# What an upgrade builds anew; the sending tools' workspaces are there.
THERE = ("sending_workspace", "warmup_workspace")
UPGRADE = Pipeline(
    tuple(spec for spec in STEPS if spec.key not in THERE),
    Ending(done=ProvisionState.ACTIVE, partly=ProvisionState.ACTIVE_WITH_EXCEPTIONS,
           ready="upgraded", missing="ready_with_exceptions", act=endings.grow),
    STAGES,
)  # fmt: skip

CHANGED_POLICY = Pipeline((
    StepSpec("policy_written", DOMAIN, "Changing the DMARC policy", "", domains.dmarc,
             poll=MINUTE, deadline=6 * HOUR, asks="infraforge", notes=("dmarc_report_email",)),
), Ending(act=endings.changed))  # fmt: skip

ZONING = Zoning(
    listed,
    rungs=(Rung.NONE, Rung.QUARANTINE, Rung.REJECT),  # their call knows no test mode
    no_flatten=_("The platform that runs this domain's name servers keeps its SPF record itself."),
)

FORGE = StackSpec(
    key="forge",
    title="InfraForge, Salesforge, Warmforge",
    version=1,
    stages=STAGES,
    steps=STEPS,
    pitch=PITCH,
    pipelines={"upgrade": UPGRADE, "pause": PAUSE, "resume": RESUME, "teardown": TEARDOWN, POLICY: CHANGED_POLICY},
    registrar=domains.REGISTRAR,
    costs=COSTS,
    measuring=Measuring(figures=figures.figures, supplied=figures.SUPPLIED),
    holding=Holding(
        domains=holding.domains,
        mailboxes=holding.mailboxes,
        records=holding.records,
        servers=holding.servers,
        how_to_switch="InfraForge's dashboard, Domains, the domain, auto-renew",
    ),
    zoning=ZONING,
)
