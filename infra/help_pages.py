"""The help pages: what the catalogue of troubles and the pages lead to. Texts as data, drawn by one template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from infra.dashboard.owning import OTHER_WAY, WAYS

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs, then steps in order or points in any."""

    title: Text
    paragraphs: tuple[Text, ...] = ()
    steps: tuple[Text, ...] = ()
    points: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class HelpPage:
    title: Text
    lede: Text
    sections: tuple[Section, ...]


CHANGE = _(
    "Remove every name server that is there, put in the ones that your order's page shows, all of them, and save."
)

PAGES: Mapping[str, HelpPage] = {
    "buying-at-godaddy": HelpPage(
        _("A new name, registered in your GoDaddy account"),
        _("GoDaddy lets nobody register names for others, so a name is registered by you, with a token of yours."),
        (
            Section(
                _("What happens"),
                steps=(
                    _(
                        "You connect your account with a token that may look names up, register them and set name servers."
                    ),
                    _("You look names up, see what each costs, and agree to what GoDaddy asks for it."),
                    _("Once you have paid your order, the name is registered, for at most what you agreed to."),
                    _("Its name servers are set to ours. From then on it goes like any domain that you own."),
                ),
            ),
            Section(
                _("What it costs"),
                (
                    _("GoDaddy charges your account, not we. A registration cannot be undone or paid back."),
                    _(
                        "Renewal is off until you switch it on at GoDaddy. Do so if you want to keep the name for longer."
                    ),
                ),
            ),
            Section(
                _("If GoDaddy refuses"),
                points=(
                    _("No way to pay: add one under “Payment methods” in your account there, then try again."),
                    _("Your contact: fill it in there, in plain letters without accents, then try again."),
                    _("The price: it has changed since you agreed. You see the new one, and agree to it or leave it."),
                    _("Anything else: buy the name yourself, at any registrar, and say so on the page of your order."),
                ),
            ),
        ),
    ),
    "nameserver-setup": HelpPage(
        _("Name servers of your own domain"),
        _("A domain joins your set-up once it leads to our name servers. That also shows that it is yours."),
        (
            Section(
                _("Before you change them"),
                (
                    _(
                        "From the change on, e-mail that you received at this domain and its website stop working at"
                        " their old"
                        " place. Take a domain that nothing depends on; a second one for sending is the usual choice."
                    ),
                    _("The page of your order shows what we see there today, and which name servers to set."),
                ),
            ),
            *(Section(title, steps=(*way, CHANGE)) for title, way in WAYS.items()),
            Section(_("Another registrar"), steps=(*OTHER_WAY, CHANGE)),
            Section(
                _("If it is not seen"),
                (
                    _(
                        "Most changes are seen within an hour; the rules of the field allow 48. We look every five"
                        " minutes."
                    ),
                ),
                points=(
                    _("All name servers have to be there, and no others: a mixture does not count."),
                    _("If your registrar has “DNSSEC” switched on, switch it off before the change."),
                    _("If the domain lies in another account at Cloudflare, InfraForge or Google, remove it there."),
                    _("You can take a bought name instead, or leave the domain out, on the page of your order."),
                ),
            ),
        ),
    ),
    "google-workspace-setup": HelpPage(
        _("Google Workspace"),
        _("Mailboxes on your own domains are users of a Google Workspace account. Three things in it are a person's."),
        (
            Section(
                _("Letting us in: the delegation"),
                steps=(
                    _("Sign in at admin.google.com as a super administrator."),
                    _("Open Security, Access and data control, API controls, Manage domain-wide delegation."),
                    _("Press “Add new”, paste the client ID and the scopes that the page of your accounts shows."),
                    _("Press “Authorise”. It takes some minutes until Google knows of it everywhere."),
                ),
            ),
            Section(
                _("Seats"),
                (
                    _(
                        "Each mailbox needs a paid seat. If there are too few, add them under Billing, Subscriptions;"
                        " what waits for"
                        " them goes on by itself."
                    ),
                ),
            ),
            Section(
                _("The key that signs your mail (DKIM)"),
                (_("Google offers the key one to three days after the domain's mail began to work there."),),
                steps=(
                    _("Open Apps, Google Workspace, Gmail, Authenticate email, and choose the domain."),
                    _("Press “Generate new record”, choose 2048 bits and the prefix “google”."),
                    _(
                        "Copy the whole value and paste it on the page that asks for it. We publish it and see it"
                        " everywhere."
                    ),
                    _("Only then press “Start authentication”: before, Google refuses or signs nothing."),
                ),
            ),
            Section(
                _("App passwords"),
                (_("The sending tool opens a mailbox with a password of its own, made in that mailbox."),),
                steps=(
                    _("Sign in as the mailbox and switch two-step verification on."),
                    _("Open myaccount.google.com/apppasswords and make one for the sending tool."),
                    _("Paste its 16 letters on the page that asks for it; it is kept encrypted."),
                ),
            ),
            Section(
                _("If an address exists already"),
                (
                    _(
                        "An account that we did not make is never touched. Either it is removed at Google, or the"
                        " operator leaves the"
                        " address out, or you take another name pattern with the next order."
                    ),
                ),
            ),
        ),
    ),
    "smartlead-integration": HelpPage(
        "Smartlead",
        _(
            "Smartlead sends from your mailboxes and warms them up. It is reached by an API key, and opens each"
            " mailbox itself."
        ),
        (
            Section(
                _("The key"),
                steps=(
                    _(
                        "Sign in at app.smartlead.ai and open Settings, then API keys. Your plan has to include the API."
                    ),
                    _("Copy the key, paste it on the page of your accounts and press “Save and check”."),
                    _(
                        "When Smartlead no longer takes it, make a new one and press “Update”: what waits goes on by"
                        " itself."
                    ),
                ),
            ),
            Section(
                _("If a mailbox is not let in"),
                points=(
                    _("A fresh app password may not work for half an hour; we try again in growing steps."),
                    _("IMAP has to be on in the mailbox. We switch it on; a rule of the account may forbid it."),
                    _("After three attempts we ask for another app password, because the same one will not do."),
                    _("A mailbox that is in Smartlead already, through somebody else, has to be removed there first."),
                ),
            ),
            Section(
                _("Tracking"),
                (
                    _(
                        "Links are tracked at a name of your own domain, such as emailtracking.example.com. Where the"
                        " tool refuses"
                        " that, it can send with its own address."
                    ),
                ),
            ),
            Section(
                _("Without the interface"),
                (_("“Export mailboxes and domains” makes a file in the columns of Smartlead's import."),),
            ),
            Section(
                _("Limits"),
                (
                    _(
                        "Smartlead answers some sixty requests a minute. When it asks us to slow down, we wait as it"
                        " says."
                    ),
                ),
            ),
        ),
    ),
    "dns-records": HelpPage(
        _("The records behind your mail"),
        _(
            "Receivers believe mail that three records vouch for. We write them, see them and watch them; here is what"
            " they say."
        ),
        (
            Section(
                "SPF",
                (
                    _(
                        "It lists who may send for a domain. There must be one, and it may ask for ten look-ups at most."
                    ),
                    _(
                        "Too many look-ups make it worthless. Remove services that you no longer send with. Flattening"
                        " replaces names"
                        " by addresses; it has to be renewed when they change, so it is the last resort."
                    ),
                ),
            ),
            Section(
                "DKIM",
                (
                    _(
                        "It is the public half of the key that signs your mail. Who changes a letter breaks every"
                        " signature."
                    ),
                ),
            ),
            Section(
                "DMARC",
                (
                    _(
                        "It says what receivers do with mail that fails both: nothing, put it aside, or refuse it. New"
                        " domains begin"
                        " with nothing; go one rung up when reports show that your own mail passes."
                    ),
                ),
            ),
            Section(
                "MX",
                (_("It says where answers arrive. For Google one record is enough today; the old five work too."),),
            ),
            Section(
                _("If a record is not seen"),
                points=(
                    _("The domain's own name servers are asked first; resolvers keep what they knew for a while."),
                    _("Two SPF or DMARC records are an error: the one that is not ours has to go."),
                    _("A record that we did not make is never overwritten; remove it, or agree with the operator."),
                    _("After 48 hours the operator is told, and we go on watching."),
                ),
            ),
        ),
    ),
    "lost-names": HelpPage(
        _("When a name is gone"),
        _(
            "Between your payment and the purchase somebody else can register a name. You pay for nothing that you do"
            " not get."
        ),
        (
            Section(
                _("What happens"),
                steps=(
                    _("If you named spares, the next one takes its place by itself."),
                    _("Otherwise the page of your order asks you for another name. It costs you nothing more."),
                    _("The mailboxes move to the new name. Everything else goes on meanwhile."),
                    _("You can also go on without it: your share of the set-up fee comes back."),
                ),
            ),
        ),
    ),
    "your-own-accounts": HelpPage(
        _("Accounts of your own"),
        _(
            "An order can live in your own accounts at the platforms. You hold the keys, so some things only you can do."
        ),
        (
            Section(
                _("When an account no longer lets us in"),
                steps=(
                    _("Open the page of your accounts: it says what is missing."),
                    _("Put it right at the platform, or paste a new key of the same account. It is tried at once."),
                    _("What waited goes on by itself. Another account is refused while an order lives in this one."),
                ),
            ),
            Section(
                _("What you make and paste"),
                (_("Keys and app passwords that no program can make are asked for one by one, with the way to each."),),
            ),
            Section(
                _("How keys are kept"),
                (
                    _(
                        "Encrypted, shown to nobody, used for your orders alone. Remove them at the platform at any time."
                    ),
                ),
            ),
        ),
    ),
    "waiting": HelpPage(
        _("Why it takes time"),
        _("Platforms are slow and count every request. Waiting costs you nothing, and nothing is lost by it."),
        (
            Section(
                _("Who waits for whom"),
                points=(
                    _("“Waiting for a platform”: it works on its side; we look again every few minutes."),
                    _("“Other orders are ahead”: requests are shared fairly, who paid first goes first."),
                    _("“With the operator”: they were told at once. You need not do anything."),
                    _("“Needs you”: the page of your order says what for, and a letter was sent to you."),
                ),
            ),
            Section(
                _("If it takes much longer than usual"),
                (_("You get a letter, and the operator too. You may close the page: it goes on without you."),),
            ),
        ),
    ),
    "when-something-fails": HelpPage(
        _("When something fails"),
        _("Each domain and mailbox goes its own way: what fails does not take the others along."),
        (
            Section(
                _("What is done about it"),
                points=(
                    _("What a platform refuses is shown to the operator with its answer, at once."),
                    _("Nothing is bought or made again before it is known what became of the first attempt."),
                    _("The operator can have it tried again, leave it out, or put it right at the platform."),
                    _("What was left out is told to you by letter, with what it means for the money."),
                ),
            ),
            Section(
                _("What you can do"),
                (_("Nothing is expected of you. If you write to the operator, quote the reference of your order."),),
            ),
        ),
    ),
}
