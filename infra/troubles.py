"""The catalogue of what can go wrong: for each code what the student reads, who acts, and what happens by itself.

Pages, API and mails take their words from here; what a platform literally answered stays with the operator. A code is
what a step's row carries; where one code means different things at different steps or platforms, `MEANINGS` says which
entry is meant. A platform's refusal without an entry of its own is `REFUSED`: its text is the operator's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MINUTE, HOUR = 60.0, 3600.0


class Acts(StrEnum):
    """Who does something about it."""

    STUDENT = "student"
    OPERATOR = "operator"
    NOBODY = "nobody"  # it goes on by itself


@dataclass(frozen=True, slots=True)
class Trouble:
    """An entry of the catalogue.

    sentence   what the student reads
    acts       who does something about it
    action     what that is, or what happens by itself
    fallback   what is left where that does not help
    retryable  whether it is tried again by itself
    delay      vendor seconds until then; None where it depends on the answer or on a person
    attempts   how often at most; None for as long as it takes
    help       slug of the page that says more, below /help/
    """

    code: str
    sentence: str | Promise
    acts: Acts
    action: str | Promise
    fallback: str | Promise
    help: str
    retryable: bool = False
    delay: float | None = None
    attempts: int | None = None


ASK_OPERATOR = _("Write to the operator and quote your reference.")
GOES_ON = _("Nothing is lost and nothing is paid twice; it goes on from here.")
TOLD = _("The operator was told and looks at it. You need not do anything.")
BUY_IT = _("Buy it yourself, anywhere, and say so on the page of your order: it goes on as a domain that you own.")
LEFT_OUT = _("The operator can leave this one out; everything else goes on.")

CATALOGUE: Mapping[str, Trouble] = {
    one.code: one
    for one in (
        # Domains and name servers
        Trouble(
            "NAMESERVER_NOT_UPDATED",
            _("Your domain does not lead to our name servers yet. A change can take up to 48 hours to be seen."),
            Acts.STUDENT,
            _("Set exactly the name servers shown on the page of your order, at your registrar."),
            _("Take a bought name instead, or leave the domain out."),
            "nameserver-setup",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "DOMAIN_ALREADY_EXISTS",
            _("This domain is part of a set-up already."),
            Acts.STUDENT,
            _("Look at it on your dashboard, or take another domain."),
            _("If it is not yours there, write to the operator: they can see whose it is."),
            "nameserver-setup",
        ),
        Trouble(
            "domain_elsewhere",
            _("This domain lies in somebody else's account at the platform that has to handle it."),
            Acts.STUDENT,
            _("Remove the domain from that account; then it can be tried again, by the operator if not by you."),
            LEFT_OUT,
            "nameserver-setup",
        ),
        Trouble(
            "own_domain_unproven",
            _("Your domain led to our name servers before we had named them, so that does not show that it is yours."),
            Acts.OPERATOR,
            TOLD,
            LEFT_OUT,
            "nameserver-setup",
        ),
        Trouble(
            "name_lost",
            _("Somebody else registered this name after you had paid, or the platform does not sell it."),
            Acts.STUDENT,
            _("Choose another name on the page of your order; it costs you nothing more."),
            _("Go on without it and get your share of the set-up fee back."),
            "lost-names",
        ),
        Trouble(
            "GODADDY_API_ERROR",
            _("GoDaddy does not sell names through its interface at the moment, or not to your account."),
            Acts.STUDENT,
            _("Have it tried again here, or buy the name yourself, anywhere: it goes on as a domain that you own."),
            ASK_OPERATOR,
            "buying-at-godaddy",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "registration_terms",
            _("GoDaddy asks for more than you agreed to, or for something else."),
            Acts.STUDENT,
            _("Look at what it asks now, and agree to it or leave it."),
            BUY_IT,
            "buying-at-godaddy",
        ),
        Trouble(
            "registration_payment",
            _("Your GoDaddy account has no way to pay, or the payment was refused."),
            Acts.STUDENT,
            _("Put your way to pay right at GoDaddy, then have it tried again here."),
            BUY_IT,
            "buying-at-godaddy",
        ),
        Trouble(
            "registration_contact",
            _("GoDaddy does not take the contact in whose name this is to be registered."),
            Acts.STUDENT,
            _(
                "Fill in your contact at GoDaddy, in plain letters, then have it tried again here. Where you gave a key and"
                " secret, buy it yourself."
            ),
            BUY_IT,
            "buying-at-godaddy",
        ),
        Trouble(
            "registration_held",
            _("GoDaddy has registered this name and holds it back."),
            Acts.STUDENT,
            _(
                "Look at it in your account there: a message from GoDaddy says what is missing. Then have it tried again here."
            ),
            ASK_OPERATOR,
            "buying-at-godaddy",
        ),
        Trouble(
            "registration_slow",
            _("GoDaddy has been registering this name for more than half an hour."),
            Acts.OPERATOR,
            TOLD,
            _(
                "Nothing is sent again, so that nothing is paid twice; it goes on as soon as the name is in your account."
            ),
            "buying-at-godaddy",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "registration_lost",
            _("Somebody else has this name by now, or it is not sold."),
            Acts.STUDENT,
            _("Name another domain that you own on the page of your order. If it was you who bought it, say so there."),
            _("Go on without it and get your share of the set-up fee back."),
            "lost-names",
        ),
        Trouble(
            "domain_limit",
            _("The account that is to hold your domain is full."),
            Acts.OPERATOR,
            TOLD,
            LEFT_OUT,
            "google-workspace-setup",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "domain_failed",
            _("The platform could not set this domain up."),
            Acts.OPERATOR,
            _("The operator was told. Your other domains go on without it."),
            ASK_OPERATOR,
            "when-something-fails",
        ),
        # Records
        Trouble(
            "CLOUDFLARE_AUTH_FAILED",
            _("Cloudflare, where the records of your domains are written, does not let us in at the moment."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "SPF_TOO_MANY_LOOKUPS",
            _("The SPF record of this domain asks for more than ten look-ups, so receivers treat it as broken."),
            Acts.STUDENT,
            _("Remove services that you no longer send with, or flatten the record on the domain's page."),
            ASK_OPERATOR,
            "dns-records",
        ),
        Trouble(
            "DKIM_KEY_MISSING",
            _("The key that signs your mail has to be made in Google's console; no program can make it."),
            Acts.OPERATOR,
            _("Whoever owns the Google account makes it and pastes it in; this goes on by itself then."),
            ASK_OPERATOR,
            "google-workspace-setup",
            retryable=True,
            attempts=3,
        ),
        Trouble(
            "DNS_PROPAGATION_TIMEOUT",
            _("The records of this domain are still not seen everywhere after 48 hours. They may still arrive."),
            Acts.OPERATOR,
            _("We keep watching, and the operator was told. The domain's page says which record is missing where."),
            LEFT_OUT,
            "dns-records",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "records_in_the_way",
            _("A record that we did not make stands where one of ours has to be. We never overwrite what is not ours."),
            Acts.STUDENT,
            _("Remove the record if you no longer need it, or agree with the operator what may go."),
            LEFT_OUT,
            "dns-records",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "records_refused",
            _("Cloudflare refuses the records of this domain."),
            Acts.OPERATOR,
            TOLD,
            LEFT_OUT,
            "dns-records",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "dmarc_address",
            _("The address for DMARC reports is not set up here, so no policy can be published."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "dns-records",
            retryable=True,
            delay=HOUR,
        ),
        # Mailboxes
        Trouble(
            "GOOGLE_WORKSPACE_AUTH_FAILED",
            _(
                "Google Workspace does not let us in: the delegation, one of its rights or the administrator has changed."
            ),
            Acts.STUDENT,
            _("Look at your accounts: the page names the right that is missing, and what to paste where."),
            ASK_OPERATOR,
            "google-workspace-setup",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "EMAIL_ALREADY_EXISTS",
            _("This address exists at Google already, and not through your order. We leave it alone."),
            Acts.OPERATOR,
            _("Tell the operator whether it may be removed there, or whether another name is to be taken."),
            LEFT_OUT,
            "google-workspace-setup",
        ),
        Trouble(
            "WORKSPACE_QUOTA_EXCEEDED",
            _("The Google account has no seats left for your mailboxes."),
            Acts.OPERATOR,
            _("Whoever owns the Google account adds seats in its console; this goes on by itself then."),
            LEFT_OUT,
            "google-workspace-setup",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "WEAK_PASSWORD",
            _("Google's rules in this account want a stronger password than the one we chose."),
            Acts.OPERATOR,
            _("The operator has a longer one chosen, or changes the rule in the account."),
            LEFT_OUT,
            "google-workspace-setup",
        ),
        Trouble(
            "no_api_access",
            _("This Google account is not allowed to be managed by programs: its plan or a suspension forbids it."),
            Acts.OPERATOR,
            TOLD,
            ASK_OPERATOR,
            "google-workspace-setup",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "mailbox_failed",
            _("The platform could not set this mailbox up."),
            Acts.OPERATOR,
            _("The operator was told. Your other mailboxes go on without it."),
            ASK_OPERATOR,
            "when-something-fails",
        ),
        Trouble(
            "suspended",
            _("The platform has suspended this account."),
            Acts.OPERATOR,
            TOLD,
            LEFT_OUT,
            "google-workspace-setup",
        ),
        Trouble(
            "slot_missing",
            _("A place for a mailbox was paid for and does not show up at the platform."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
            retryable=True,
            delay=HOUR,
        ),
        # The sending tool
        Trouble(
            "SMARTLEAD_API_KEY_INVALID",
            _("The sending tool Smartlead does not take the key any more."),
            Acts.STUDENT,
            _("Update the key on the page of your accounts."),
            _("Connect the mailboxes yourself with the file of the page “Export mailboxes and domains”."),
            "smartlead-integration",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "EMAIL_ALREADY_CONNECTED",
            _("This mailbox is in Smartlead already, and not through your order."),
            Acts.OPERATOR,
            _("Look at it in Smartlead. If it is yours, remove it there; then it can be tried again."),
            LEFT_OUT,
            "smartlead-integration",
        ),
        Trouble(
            "TRACKING_DOMAIN_SETUP_FAILED",
            _("The sending tool does not take the domain's own tracking address."),
            Acts.OPERATOR,
            TOLD,
            _("The mailbox can send with the tool's own tracking address."),
            "smartlead-integration",
        ),
        Trouble(
            "SMARTLEAD_RATE_LIMIT",
            _("The sending tool asked us to slow down."),
            Acts.NOBODY,
            _("We wait as long as it says, usually a minute, and go on by ourselves."),
            GOES_ON,
            "smartlead-integration",
            retryable=True,
            delay=MINUTE,
        ),
        Trouble(
            "app_password",
            _("The sending tool opens a mailbox with an app password, which only a person can make in it."),
            Acts.OPERATOR,
            _("Whoever owns the Google account makes it and pastes it in; this goes on by itself then."),
            ASK_OPERATOR,
            "smartlead-integration",
            retryable=True,
            attempts=3,
        ),
        Trouble(
            "test_failed",
            _(
                "The test message of this domain could not be sent or did not arrive, so nobody knows yet whether it signs."
            ),
            Acts.OPERATOR,
            TOLD,
            LEFT_OUT,
            "google-workspace-setup",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "signing_not_started",
            _("The mail of this domain is not signed yet: signing has to be started in Google's console."),
            Acts.OPERATOR,
            _("Whoever owns the Google account presses “Start authentication” there; a test message then shows it."),
            ASK_OPERATOR,
            "google-workspace-setup",
            retryable=True,
        ),
        Trouble(
            "not_in_sending_tool",
            _("This mailbox did not arrive in the sending tool."),
            Acts.OPERATOR,
            _("The operator was told. Your other mailboxes go on without it."),
            ASK_OPERATOR,
            "when-something-fails",
        ),
        Trouble(
            "export_refused",
            _("The mailboxes could not be handed to the sending tool the usual way."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "access_lost",
            _("The login of your sending tool is gone and has to be made again."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
        ),
        # Whatever the platform
        Trouble(
            "update_key",
            _("One of your own accounts no longer lets us in."),
            Acts.STUDENT,
            _("Look at your accounts and update the key. Everything else goes on meanwhile."),
            ASK_OPERATOR,
            "your-own-accounts",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "credentials",
            _("A platform does not let us in at the moment."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "rate_limited",
            _("A platform asked us to slow down."),
            Acts.NOBODY,
            _("We wait as long as it says and go on by ourselves."),
            GOES_ON,
            "waiting",
            retryable=True,
            delay=MINUTE,
        ),
        Trouble(
            "halted",
            _("The operator has paused purchases for a moment."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "waiting",
            retryable=True,
            delay=5 * MINUTE,
        ),
        Trouble(
            "too_slow",
            _("This takes much longer than usual at the platform that does it."),
            Acts.OPERATOR,
            TOLD,
            LEFT_OUT,
            "waiting",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "enter_by_hand",
            _("One thing has to be made by a person at a platform, because no program can."),
            Acts.OPERATOR,
            _("Whoever owns the account makes it and pastes it in; this goes on by itself then."),
            ASK_OPERATOR,
            "your-own-accounts",
            retryable=True,
        ),
        Trouble(
            "cannot_be_read_back",
            _("An answer of a platform was lost, and only a person can look what became of the request."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
        ),
        Trouble(
            "not_configured",
            _("Something of this installation is not set up yet."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "internal_error",
            _("Something went wrong on our side."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "nothing_left",
            _("Nothing of the order could be built."),
            Acts.OPERATOR,
            _("The operator was told and decides with you what happens; nothing more is bought."),
            ASK_OPERATOR,
            "when-something-fails",
        ),
        # When an order ends
        Trouble(
            "renewal_on",
            _("A domain of the order that has ended still renews itself at the platform."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
            retryable=True,
            delay=HOUR,
        ),
        Trouble(
            "paid_by_the_month",
            _("Something of the order that has ended is paid by the month at the platform and has to be ended there."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
        ),
        Trouble(
            "removal_refused",
            _("The platform does not let go of something of the order that has ended."),
            Acts.OPERATOR,
            TOLD,
            GOES_ON,
            "when-something-fails",
        ),
        Trouble(
            "refused",
            _("A platform refuses this step."),
            Acts.OPERATOR,
            TOLD,
            LEFT_OUT,
            "when-something-fails",
            retryable=True,
            delay=HOUR,
        ),
    )
}
REFUSED = CATALOGUE["refused"]

# code of a row, alone or at a step or a platform -> entry of the catalogue
MEANINGS: Mapping[str, str] = {
    "credentials@cloudflare": "CLOUDFLARE_AUTH_FAILED",
    "credentials@google_workspace": "GOOGLE_WORKSPACE_AUTH_FAILED",
    "credentials@smartlead": "SMARTLEAD_API_KEY_INVALID",
    "credentials@godaddy": "GODADDY_API_ERROR",
    "name_lost@zones": "registration_lost",
    "rate_limited@smartlead": "SMARTLEAD_RATE_LIMIT",
    "too_slow@records_seen": "DNS_PROPAGATION_TIMEOUT",
    "too_slow@dkim_published": "DNS_PROPAGATION_TIMEOUT",
    "too_slow@own_active": "DNS_PROPAGATION_TIMEOUT",
    "enter_by_hand@dkim_keys": "DKIM_KEY_MISSING",
    "enter_by_hand@signed": "signing_not_started",
    "enter_by_hand@accounts": "app_password",
    "bad_tracking_domain": "TRACKING_DOMAIN_SETUP_FAILED",
    "weak_password": "WEAK_PASSWORD",
    "bad_password": "WEAK_PASSWORD",
    "no_seats": "WORKSPACE_QUOTA_EXCEEDED",
    "zone_elsewhere": "domain_elsewhere",
    "google_domain_elsewhere": "domain_elsewhere",
    "own_domain_elsewhere": "domain_elsewhere",
}


def of(code: str, *, step: str = "", platform: str = "") -> Trouble | None:
    """Return the entry for the code of a row, or None for no code. `step` and `platform`: where it stands."""
    if not code:
        return None
    for name in (f"{code}@{step}", f"{code}@{platform}", code):
        found = CATALOGUE.get(MEANINGS.get(name, name))
        if found is not None:
            return found
    return REFUSED
