"""The `zapmail` stack: domains and mailboxes from Zapmail, sending and warmup by PlusVibe, a lead list at HeyReach.

Read it from top to bottom: that is the order in which each domain and mailbox goes, but for steps that say after which
they may begin. Times are the platforms' time.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from infra.models import DomainState, MailboxState, ProvisionState
from integrations import zapmail

from ..engine import endings
from ..engine.holding import Holding
from ..engine.measuring import Listing, Measuring
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
)
from ..engine.spending import Cost, Every, Of
from ..engine.zoning import Zoning, listed
from ..steps import domains, ending, finish, holding, mailboxes, money, sender, workspaces

STAGES = (
    Stage("payment", _("Payment"), _("Your payment is confirmed.")),
    Stage("domains", _("Domains"), _("We are registering your domains.")),
    Stage("records", _("Address records"), _("The domains are being connected to the internet's address books.")),
    Stage("mailboxes", _("Mailboxes"), _("Your mailboxes are being created.")),
    Stage("sending", _("Sending tool"), _("Your mailboxes are being connected to the sending tool.")),
    Stage("warmup", _("Warmup"), _("Warmup is being switched on.")),
    Stage("leads", _("Lead list"), _("Your lead list is being created.")),
)

PITCH = Pitch(
    title=_("Mailboxes at Google or Microsoft, and LinkedIn"),
    text=_("Business mailboxes on new domains, a sending tool of your own, and a LinkedIn lead list."),
    included=(
        _("Address records, SPF, DKIM and DMARC set for you"),
        _("A sending tool with warmup switched on"),
        _("A LinkedIn lead list"),
    ),
    ready=_("1-2 hours, up to 2 days"),
    domain_year_cents=1299,
    sending_tool="SENDING_TOOL_URL",
    has_lead_list=True,
    left_out=_(
        "Its warmup and campaigns stop, its mailboxes go at their next renewal, and its domains are not renewed."
    ),
    later=_("A bigger package later buys new domains and is paid for anew."),
)

# How long it takes as a rule: while others wait for the same requests a minute, nobody looks earlier.
DOMAINS_TAKE = (zapmail.GENERAL, 20 * MINUTE)
MAILBOXES_TAKE = (zapmail.GENERAL, 25 * MINUTE)
# What is needed only once domains or mailboxes are there lets others go first meanwhile; beside mailboxes that are two
# calls, to act and to look.
BESIDE_DOMAINS = (zapmail.GENERAL, 16 * MINUTE)
BESIDE_MAILBOXES, LOOK_BESIDE = (zapmail.GENERAL, 25 * MINUTE), (zapmail.GENERAL, 4 * MINUTE)

RUN, DOMAIN, MAILBOX = Scope.RUN, Scope.DOMAIN, Scope.MAILBOX

STEPS = (
    StepSpec("workspace", RUN, "Creating Zapmail workspace", "domains", workspaces.workspace, poll=30,
             asks="zapmail", notes=("zapmail_workspace_id",)),
    StepSpec("wallet", RUN, "Purchasing domains: wallet", "domains", money.wallet, asks="zapmail"),
    StepSpec("buy_domains", DOMAIN, "Purchasing domains", "domains", domains.buy_domains,
             poll=MINUTE, deadline=6 * HOUR, usual=(1 * MINUTE, 15 * MINUTE), yields=DOMAINS_TAKE,
             begins=DomainState.PURCHASING, ends=DomainState.DNS_PENDING,
             asks="zapmail", notes=("zapmail_domain_id", "bought")),
    StepSpec("domains_active", DOMAIN, "Waiting for DNS setup", "records", domains.domains_active,
             poll=2 * MINUTE, deadline=2 * DAY, usual=(10 * MINUTE, 2 * HOUR), ends=DomainState.CONNECTED,
             yields=DOMAINS_TAKE, asks="zapmail"),
    StepSpec("slots", RUN, "Purchasing domains: mailbox slots", "domains", money.slots, after=("wallet",),
             poll=MINUTE, deadline=2 * HOUR, usual=(MINUTE, 5 * MINUTE), leisure=BESIDE_DOMAINS, asks="zapmail"),
    StepSpec("dmarc", DOMAIN, "Setting up DMARC", "records", domains.dmarc, after=("domains_active",),
             gather=15 * MINUTE, poll=MINUTE, deadline=6 * HOUR, usual=(1 * MINUTE, 10 * MINUTE), ends=DomainState.ACTIVE,
             leisure=BESIDE_MAILBOXES, yields=LOOK_BESIDE, asks="zapmail", notes=("dmarc_report_email",)),
    StepSpec("mailboxes", MAILBOX, "Creating mailboxes", "mailboxes", mailboxes.mailboxes, after=("slots", "domains_active"),
             gather=15 * MINUTE, poll=MINUTE, deadline=6 * HOUR, usual=(1 * MINUTE, 15 * MINUTE), yields=MAILBOXES_TAKE,
             begins=MailboxState.CREATING, ends=MailboxState.CREATING,
             asks="zapmail", notes=("zapmail_mailbox_id",)),
    StepSpec("mailboxes_active", MAILBOX, "Creating mailboxes: active", "mailboxes", mailboxes.mailboxes_active,
             poll=3 * MINUTE, deadline=1 * DAY, usual=(10 * MINUTE, 4 * HOUR), ends=MailboxState.CREATED,
             yields=MAILBOXES_TAKE, asks="zapmail"),
    StepSpec("sender_workspace", RUN, "Setting up PlusVibe workspace", "sending", workspaces.sender_workspace,
             after=("domains_active",), poll=30, needs=Needs.FIRST,
             asks="plusvibe", notes=("plusvibe_workspace_id",)),
    StepSpec("sender_login", RUN, "Setting up PlusVibe workspace: login", "sending", sender.sender_login,
             poll=30, needs=Needs.FIRST,
             asks="plusvibe", notes=("plusvibe_client_id", "plusvibe_client_email"), login=sender.LOGIN),
    StepSpec("register_sender", RUN, "Exporting mailboxes to PlusVibe: login", "sending", sender.register_sender,
             poll=30, needs=Needs.FIRST, leisure=BESIDE_MAILBOXES, yields=LOOK_BESIDE,
             asks="zapmail", notes=("sender_registered",)),
    StepSpec("export", MAILBOX, "Exporting mailboxes to PlusVibe", "sending", sender.export,
             after=("dmarc", "mailboxes_active", "register_sender"),
             gather=20 * MINUTE, poll=MINUTE, deadline=12 * HOUR, usual=(2 * MINUTE, 30 * MINUTE),
             asks="zapmail", notes=("exported",)),
    StepSpec("accounts_seen", MAILBOX, "Exporting mailboxes to PlusVibe: seen", "sending", sender.accounts_seen,
             poll=2 * MINUTE, deadline=1 * DAY, gives_up_to=GivesUpTo.SET_ASIDE, ends=MailboxState.CONNECTED,
             asks="plusvibe", notes=("plusvibe_account_id",)),
    StepSpec("warmup", MAILBOX, "Configuring warmup", "warmup", sender.warmup,
             gather=5 * MINUTE, poll=30, deadline=6 * HOUR, usual=(30, 5 * MINUTE), ends=MailboxState.WARMING,
             asks="plusvibe", notes=("warmup",)),
    StepSpec("lead_list", RUN, "Creating HeyReach lead list", "leads", workspaces.lead_list,
             poll=MINUTE, needs=Needs.FIRST,
             asks="heyreach", notes=("heyreach_list_id", "heyreach_list_name")),
    StepSpec("finish", RUN, "Setup complete", "leads", finish.finish),
)  # fmt: skip

PAUSE = Pipeline((
    StepSpec("rest", MAILBOX, "Letting warmup and campaigns rest", "", sender.rest,
             poll=30, deadline=6 * HOUR, usual=(30, 5 * MINUTE), ends=MailboxState.SUSPENDED,
             asks="plusvibe", notes=("warmup",)),
), Ending())  # fmt: skip

RESUME = Pipeline((
    StepSpec("resume", MAILBOX, "Resuming warmup", "", sender.warmup,
             poll=30, deadline=6 * HOUR, usual=(30, 5 * MINUTE), ends=MailboxState.WARMING,
             asks="plusvibe", notes=("warmup",)),
), Ending(act=endings.go_on))  # fmt: skip

TEARDOWN = Pipeline((
    StepSpec("rest", MAILBOX, "Letting warmup and campaigns rest", "", sender.rest,
             poll=30, deadline=6 * HOUR, usual=(30, 5 * MINUTE), ends=MailboxState.SUSPENDED,
             asks="plusvibe", notes=("warmup",)),
    StepSpec("remove_login", RUN, "Removing the sending tool's login", "", sender.remove_login, poll=30,
             asks="plusvibe"),
    StepSpec("keep_records", DOMAIN, "Keeping the domains' records", "", ending.keep_records,
             asks="zapmail"),
    StepSpec("schedule_removal", DOMAIN, "Marking the mailboxes for removal", "", ending.schedule_removal,
             poll=MINUTE, deadline=6 * HOUR, usual=(30, 5 * MINUTE),
             asks="zapmail", notes=("removal",)),
    StepSpec("renewal_off", DOMAIN, "Switching the domains' renewal off", "", ending.renewal_off,
             poll=5 * MINUTE, deadline=1 * DAY,
             asks="zapmail", notes=("renewal",)),
), Ending(done=ProvisionState.CANCELLED, partly=ProvisionState.CANCELLED, act=endings.torn_down))  # fmt: skip

# What a smaller package leaves out; the login and everything that is kept stay as they are.
DOWNGRADE = Pipeline(
    tuple(spec for spec in TEARDOWN.steps if spec.scope is not RUN),
    endings.SMALLER,
)

MEASURING = Measuring(
    figures=sender.figures,
    supplied=sender.SUPPLIED,
    lists=Listing("heyreach.lists", workspaces.lead_counts, fact="heyreach_list_id", one=workspaces.lead_count),
)

HOLDING = Holding(
    domains=holding.domains,
    mailboxes=holding.mailboxes,
    records=holding.records,
    servers=holding.servers,
    how_to_switch="Zapmail's dashboard, Domains, the domain, auto-renew",
)

COSTS = (
    Cost(Of.DOMAIN, "zapmail", "buy_domains", "Zapmail", _("domain"), "domain_cost_cents", Every.YEAR),
    Cost(Of.MAILBOX, "zapmail", "buy_mailbox_slots", "Zapmail", _("mailbox slot"), "slot_cost_cents", Every.MONTH),
)

# What an upgrade builds anew; workspaces, logins and the lead list are there.
NEW = ("wallet", "slots", "buy_domains", "domains_active", "dmarc", "mailboxes", "mailboxes_active", "export",
       "accounts_seen", "warmup", "finish")  # fmt: skip
UPGRADE = Pipeline(
    tuple(spec for spec in STEPS if spec.key in NEW),
    Ending(done=ProvisionState.ACTIVE, partly=ProvisionState.ACTIVE_WITH_EXCEPTIONS,
           ready="upgraded", missing="ready_with_exceptions", act=endings.grow),
    tuple(stage for stage in STAGES if stage.key not in ("leads",)),
)  # fmt: skip

ZONING = Zoning(
    listed,
    no_policy=_(
        "The platform that runs this domain's name servers lets us set where reports go, and not the policy. It stays as "
        "the platform has set it."
    ),
    no_flatten=_("The platform that runs this domain's name servers keeps its SPF record itself."),
)

ZAPMAIL = StackSpec(
    key="zapmail",
    title="Zapmail, PlusVibe, HeyReach",
    version=1,
    stages=STAGES,
    steps=STEPS,
    pitch=PITCH,
    pipelines={"upgrade": UPGRADE, "pause": PAUSE, "resume": RESUME, "teardown": TEARDOWN, "downgrade": DOWNGRADE},
    registrar=domains.REGISTRAR,
    measuring=MEASURING,
    holding=HOLDING,
    costs=COSTS,
    zoning=ZONING,
)
