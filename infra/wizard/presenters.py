"""Plain values for the wizard's templates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing import downgrades as plans
from infra import naming, people
from infra.connecting.presenters import accounts as account_cards
from infra.dashboard import words
from infra.models import Domain, NameAnswer, Provision, Tier
from infra.presenters_base import ChoiceRow, Fact, listed, money, said, span, version_of
from provisioning.actions import setup_fee_cents
from provisioning.engine.specs import Pitch
from provisioning.stacks import STACKS

from . import drafts, registering, steps
from .names import Known


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    href: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What is paid today, line by line, and from then on each month."""

    lines: list[Fact]
    today_cents: int
    monthly_cents: int
    currency: str


@dataclass(frozen=True, slots=True)
class StepLink:
    number: int
    word: str
    href: str
    state: str


def step_links(draft: Provision, key: str) -> list[StepLink]:
    """The pages of a draft; those that are open already are links."""
    keys = steps.keys(draft)
    reached, here = keys.index(steps.first_incomplete(draft).key), keys.index(key)
    return [
        StepLink(
            place + 1,
            str(step.word),
            steps.address(draft, step.key) if place != here and place <= reached else "",
            "current" if place == here else "done" if place < here else "ahead",
        )
        for place, step in enumerate(steps.of(draft))
    ]


def paused_sentence(draft: Provision) -> str:
    """Say before the click that nobody can pay at the moment; nothing while orders are open."""
    verdict = drafts.may_order(draft)
    if verdict.allowed:
        return ""
    return _("%(reason)s You can fill in everything; it is kept until you can pay.") % {"reason": verdict.sentence}


def back(draft: Provision, key: str) -> Link:
    """Return the way back from a page."""
    if draft.enlarges_id and key == "domains":
        return Link(_("Back to the packages"), reverse("upgrade"))
    words = {
        "package": _("Home"),
        "accounts": _("Back to packages"),
        "domains": _("Back to the accounts") if "accounts" in steps.keys(draft) else _("Back to packages"),
        "mailboxes": _("Back to domains"),
        "review": _("Back to mailboxes"),
    }
    keys = steps.keys(draft)
    before = keys[max(0, keys.index(key) - 1)]
    return Link(words[key], reverse("home") if key == "package" else steps.address(draft, before))


def step_of(draft: Provision, key: str) -> str:
    keys = steps.keys(draft)
    return _("Step %(n)s of %(all)s") % {"n": keys.index(key) + 1, "all": len(keys)}


# Packages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PackageCard:
    slug: str
    name: str
    description: str
    today: str
    then: str
    facts: list[Fact]
    included: list[str]
    chosen: bool
    chosen_word: str
    button_label: str
    button_kind: str
    refusal: str = ""  # why it cannot be chosen


def packages(tiers: Sequence[Tier], draft: Provision) -> list[PackageCard]:
    """One card per package: the same facts in the same order."""
    return [_package(tier, chosen=tier.pk == draft.tier_id) for tier in tiers]


def upgrades(tiers: Sequence[Tier], live: Provision, draft: Provision | None) -> list[PackageCard]:
    """One card per bigger package: what it holds, and what it costs more than the present one."""
    return [_upgrade(tier, live, chosen=draft is not None and tier.pk == draft.tier_id) for tier in tiers]


def _upgrade(tier: Tier, live: Provision, *, chosen: bool) -> PackageCard:
    if plans.is_by_domain(tier):
        return _more_domains(tier, live, chosen=chosen)
    there = live.order
    more_domains = tier.domain_count - int(there["domain_count"])
    more_mailboxes = tier.mailbox_count - int(there["mailbox_count"])
    once = max(0, tier.setup_fee_cents - int(there["setup_fee_cents"]))
    card = _package(tier, chosen=chosen)
    return replace(
        card,
        today=money(once, tier.currency),
        then=_("once, then %(amount)s a month; the rest of this month by the day")
        % {"amount": money(tier.monthly_fee_cents, tier.currency)},
        facts=[
            Fact(_("More domains"), str(more_domains)),
            Fact(_("More mailboxes"), str(more_mailboxes)),
            Fact(_("Domains in all"), str(tier.domain_count)),
            Fact(_("Mailboxes in all"), str(tier.mailbox_count)),
            *[fact for fact in card.facts if fact.label in (_("Each month"), _("Warmup before sending"))],
        ],
        included=[
            _("What you have goes on working all the while"),
            _("The same workspaces and logins"),
        ],
        button_label=_("Go on with %(name)s") % {"name": tier.name} if chosen else card.button_label,
    )


def _more_domains(tier: Tier, live: Provision, *, chosen: bool) -> PackageCard:
    """Return the card of the same package with more domains: what each of them costs."""
    there, most = int(live.order["domain_count"]), tier.domain_count_max or 0
    before = int(live.order["monthly_fee_cents"]) // max(1, int(live.order.get("quantity", 1)))
    dearer = [
        Fact(
            _("Each month for those that you have"),
            _("%(now)s each instead of %(before)s")
            % {"now": money(tier.monthly_fee_cents, tier.currency), "before": money(before, tier.currency)},
        )
    ]
    return replace(
        _package(tier, chosen=chosen),
        today=money(tier.setup_fee_cents, tier.currency),
        then=_("once for each domain more, and %(amount)s a month for it; the rest of this month by the day")
        % {"amount": money(tier.monthly_fee_cents, tier.currency)},
        facts=[
            Fact(_("Domains now"), str(there)),
            Fact(_("Domains more, at most"), str(most - there)),
            Fact(_("Mailboxes on each domain"), str(tier.mailbox_count)),
            *(dearer if before != tier.monthly_fee_cents else []),
            Fact(_("Warmup before sending"), _days(tier.warmup_days)),
        ],
        included=[_("What you have goes on working all the while"), _("In the accounts in which your set-up works")],
        button_label=_("Go on with it") if chosen else _("Add domains"),
    )


def downgrades(tiers: Sequence[Tier], live: Provision) -> list[PackageCard]:
    """One card per smaller package: what it holds, what it costs from the next period on, or why it cannot be chosen."""
    return [replace(downgrade(tier, live), refusal=_too_small(tier, live)) for tier in tiers]


def _too_small(tier: Tier, live: Provision) -> str:
    if plans.fits(live, tier):
        return ""
    if plans.is_by_domain(tier):
        return _("None of your domains is ready to be kept.")
    return _("It holds %(most)d mailboxes, and every choice of your domains holds more.") % {"most": tier.mailbox_count}


def downgrade(tier: Tier, live: Provision) -> PackageCard:
    """Return the card of a smaller package."""
    there = live.order
    card = _package(tier, chosen=False)
    stays = [_("Nothing is charged for the change"), _("You choose what stays; it goes on working all the while")]
    if plans.is_by_domain(tier):
        return replace(
            card,
            today=money(tier.monthly_fee_cents, tier.currency),
            then=_("a month for each domain that stays, from the next period on"),
            facts=[
                Fact(_("Domains now"), str(there["domain_count"])),
                Fact(_("Stay at least"), str(tier.domain_count)),
            ],
            included=stays,
            button_label=_("Choose what stays"),
        )
    return replace(
        card,
        today=money(tier.monthly_fee_cents, tier.currency),
        then=_("a month from the next period on, instead of %(amount)s")
        % {"amount": money(int(there["monthly_fee_cents"]), tier.currency)},
        facts=[
            Fact(_("Fewer domains"), str(int(there["domain_count"]) - tier.domain_count)),
            Fact(_("Fewer mailboxes"), str(int(there["mailbox_count"]) - tier.mailbox_count)),
            Fact(_("Domains that stay"), str(tier.domain_count)),
            Fact(_("Mailboxes that stay"), str(tier.mailbox_count)),
        ],
        included=stays,
    )


def plan_rows(
    *, package: str, starts: str, stays: Sequence[str], drops: Sequence[str], monthly: int, currency: str
) -> list[SummaryRow]:
    """Return what is planned, line by line."""
    return [
        _row(_("Package"), [package], "", ""),
        _row(_("From"), [starts], "", ""),
        _row(_("Each month from then on"), [money(monthly, currency)], "", ""),
        _row(_("Stays"), list(stays), "", ""),
        _row(_("Is left out, with its mailboxes"), list(drops) or [_("nothing")], "", ""),
    ]


@dataclass(frozen=True, slots=True)
class PackageGroup:
    """Packages of one kind under what they mean to a student; no heading where there is one kind only."""

    id: str
    title: str
    text: str
    cards: list[PackageCard]


def package_groups(tiers: Sequence[Tier], draft: Provision) -> list[PackageGroup]:
    """Return the packages by stack, the stacks in the order of their first package."""
    kinds = list(dict.fromkeys(tier.stack for tier in tiers))
    groups = []
    for kind in kinds:
        cards = packages([tier for tier in tiers if tier.stack == kind], draft)
        pitch = STACKS[kind].pitch
        title, text = (str(pitch.title), str(pitch.text)) if len(kinds) > 1 else ("", "")
        groups.append(PackageGroup(f"kind-{kind}", title, text, cards))
    return groups


def _package(tier: Tier, *, chosen: bool) -> PackageCard:
    monthly = money(tier.monthly_fee_cents, tier.currency)
    per_mailbox = money(-(-tier.monthly_fee_cents // tier.mailbox_count), tier.currency)
    pitch = STACKS[tier.stack].pitch
    by_domain = tier.domain_count_max is not None
    ips = [Fact(_("Dedicated sending addresses (IP)"), str(tier.dedicated_ip_count))] if tier.dedicated_ip_count else []
    return PackageCard(
        slug=tier.slug,
        name=tier.name,
        description=tier.description,
        today=money(tier.setup_fee_cents + tier.monthly_fee_cents, tier.currency),
        then=(_("for each domain today, then %(amount)s a month") if by_domain else _("today, then %(amount)s a month"))
        % {"amount": monthly},
        facts=[
            Fact(_("Set-up, once"), money(tier.setup_fee_cents, tier.currency)),
            Fact(_("Each month"), monthly),
            Fact(_("Domains"), f"{tier.domain_count}–{tier.domain_count_max}" if by_domain else str(tier.domain_count)),
            Fact(_("Mailboxes on each domain") if by_domain else _("Mailboxes"), str(tier.mailbox_count)),
            *ips,
            Fact(_("Per mailbox and month"), per_mailbox),
            Fact(_("Domains from year two"), _year_two(tier, pitch)),
            Fact(_("Ready after payment"), str(pitch.ready)),
            Fact(_("Warmup before sending"), _days(tier.warmup_days)),
        ],
        included=[
            *(
                [
                    _("The first year of each domain up to %(cap)s")
                    % {"cap": money(tier.domain_price_cap_cents, tier.currency)}
                ]
                if STACKS[tier.stack].registrar
                else []
            ),
            *map(str, pitch.included),
        ],
        chosen=chosen,
        chosen_word=_("Chosen"),
        button_label=_("Keep %(name)s") % {"name": tier.name} if chosen else _("Choose %(name)s") % {"name": tier.name},
        button_kind="primary",
    )


def _year_two(tier: Tier, pitch: Pitch) -> str:
    if not pitch.domain_year_cents:
        return str(_("as at your registrar"))
    year_two = money(pitch.domain_year_cents * tier.domain_count, tier.currency)
    return _("about %(amount)s a year") % {"amount": year_two}


def _days(number: int) -> str:
    return ngettext("%(n)s day", "%(n)s days", number) % {"n": number}


# Domains ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpareOption:
    value: str
    label: str
    selected: bool


@dataclass(frozen=True, slots=True)
class SpareField:
    id: str
    name: str
    label: str
    options: list[SpareOption]


@dataclass(frozen=True, slots=True)
class NamesOnPage:
    """The list of names, its waiting line and its spares. `version` changes when any of them would look different."""

    rows: list[ChoiceRow]
    spares: list[SpareField]
    version: str
    checking: bool
    checking_title: str
    checking_text: str
    checking_note: str
    announce: str
    poll_href: str
    count_text: str
    count_pattern: str
    showing: str
    more_label: str
    find_kind: str
    takes_own: bool
    has_search: bool


def names_on_page(
    draft: Provision,
    known: Mapping[str, Known],
    *,
    chosen: Collection[str],
    spares: Sequence[str],
    busy: str,
) -> NamesOnPage:
    """Say of each shown name what is known, and nothing more: "checking" until somebody has answered."""
    tier = draft.tier
    assert tier is not None
    rows = [
        _name_row(place, name, known.get(name), tier, draft.main_domain, name in chosen)
        for place, name in enumerate(drafts.shown_names(draft))
    ]
    free = [row.value for row in rows if row.open]
    waiting = sum(row.tone == "busy" for row in rows)
    held, everything = drafts.size(draft), drafts.suggested(draft)
    own = len(drafts.own(draft))
    unfolded = min(draft.names_shown, len(everything))
    version = version_of([(row.value, row.word, row.note) for row in rows], busy)
    return NamesOnPage(
        rows=rows,
        spares=[_spare_field(place, free, chosen, spares) for place in range(1, drafts.MAX_SPARES + 1)] if free else [],
        version=version,
        checking=bool(waiting),
        checking_title=ngettext("Checking %(n)s name", "Checking %(n)s names", waiting) % {"n": waiting},
        checking_text=busy or _("Answers usually arrive within a minute. This list fills itself."),
        checking_note=_("You can tick names while others are still being checked.") if free else "",
        announce=_announcement(len(free), waiting),
        poll_href=f"{steps.address(draft, 'domains-names')}?version={version}",
        count_text=_count(held, own).replace("{n}", str(sum(row.checked for row in rows))),
        count_pattern=_count(held, own),
        showing=_("%(shown)s of %(all)s suggestions") % {"shown": unfolded, "all": len(everything)}
        if everything
        else "",
        more_label=_("More names") if unfolded < len(everything) else "",
        find_kind="secondary" if rows else "primary",
        takes_own=drafts.takes_own(draft),
        has_search=drafts.has_search(draft),
    )


def wanted_sentence(draft: Provision) -> str:
    """Return the page's heading: how many domains to choose."""
    held = drafts.size(draft)
    if held.fewest == held.most:
        return ngettext("Choose %(n)s sending domain", "Choose %(n)s sending domains", held.most) % {"n": held.most}
    return _("Choose %(low)s to %(high)s sending domains") % {"low": held.fewest, "high": held.most}


def _announcement(free: int, waiting: int) -> str:
    if waiting:
        return ""
    return ngettext(
        "All names are checked: %(n)s is available.", "All names are checked: %(n)s are available.", free
    ) % {"n": free}


def _count(held: drafts.Size, own: int) -> str:
    if own and held.fewest == held.most:
        return _("{n} chosen and %(own)s of your own, of %(all)s") % {"own": own, "all": held.most}
    if own:
        values = {"own": own, "low": held.fewest, "high": held.most}
        return _("{n} chosen and %(own)s of your own, %(low)s to %(high)s possible") % values
    if held.fewest == held.most:
        return _("{n} of %(all)s chosen") % {"all": held.most}
    return _("{n} chosen, %(low)s to %(high)s possible") % {"low": held.fewest, "high": held.most}


def queue_sentence(seconds: float | None) -> str:
    """Say when a waiting check begins: nothing while it is about to, the time when it is not."""
    if seconds is None or seconds < 60:
        return ""
    return _("Availability checks are busy. Yours starts in about %(span)s.") % {"span": span(seconds)}


def _name_row(place: int, name: str, known: Known | None, tier: Tier, main_domain: str, ticked: bool) -> ChoiceRow:
    word, tone, note, is_open = judge(known, tier)
    return ChoiceRow(
        id=f"name-{place}",
        name="chosen",
        value=name,
        label=name,
        checked=ticked and is_open,
        open=is_open,
        word=word,
        tone=tone,
        note=note,
        warnings=_warnings(name, main_domain) if is_open else [],
    )


def judge(known: Known | None, tier: Tier) -> tuple[str, str, str, bool]:
    """Return word, tone, note, and whether the name may be chosen for `tier`."""
    if known is not None and known.gave_up:
        return _("Unknown"), "off", _("The registry gave no answer"), False
    if known is None or known.answer == NameAnswer.CHECKING:
        return _("Checking"), "busy", "", False
    price = money(known.price_cents, tier.currency)
    if known.answer == NameAnswer.TAKEN:
        return _("Taken"), "off", "", False
    if known.answer == NameAnswer.PREMIUM:
        return _("Premium"), "wait", _("Not included"), False
    if known.held_by_another:
        return _("Reserved"), "off", _("Somebody is ordering it"), False
    if known.price_cents > tier.domain_price_cap_cents:
        return _("Above the cap"), "wait", _("Not included: %(price)s a year") % {"price": price}, False
    renewal = money(known.renewal_cents, tier.currency)
    note = _("%(price)s, included; renews at %(renewal)s") % {"price": price, "renewal": renewal}
    return _("Available"), "done", note, True


def _warnings(name: str, main_domain: str) -> list[str]:
    ending = name.rpartition(".")[2]
    try:
        return [said(one) for one in naming.parse_domain(name, sold=[ending], main_domain=main_domain).warnings]
    except naming.NameRefused:
        return []


def _spare_field(place: int, free: Sequence[str], chosen: Collection[str], spares: Sequence[str]) -> SpareField:
    picked = spares[place - 1] if len(spares) >= place else ""
    labels = {1: _("First spare"), 2: _("Second spare"), 3: _("Third spare")}
    options = [SpareOption("", _("None"), not picked)]
    options += [SpareOption(name, name, name == picked) for name in free if name not in chosen or name == picked]
    return SpareField(f"id_spare_{place}", f"spare_{place}", labels[place], options)


# Mailboxes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreviewLine:
    address: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PreviewGroup:
    domain: str
    addresses: list[PreviewLine]
    blanks: list[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """Every address as it will be, and the sender as recipients see it: beside each address where there are several."""

    groups: list[PreviewGroup]
    reasons: list[str]
    title: str
    sender: str = ""
    sender_initial: str = ""
    sender_address: str = ""
    note: str = ""


def preview(draft: Provision, *, first_name: str, last_name: str, patterns: Sequence[str]) -> Preview:
    """Draw the addresses from what was typed, good or bad: one that cannot be used leaves a blank, with its reason."""
    domains = [domain.name for domain in drafts.chosen(draft)]
    total = drafts.size(draft).mailboxes
    verdicts = naming.judge_patterns(patterns)
    marks = [verdict.username or f"\0{place}" for place, verdict in enumerate(verdicts, start=1)]
    groups = [PreviewGroup(domain, [], []) for domain in domains]
    by_domain = {group.domain: group for group in groups}
    for one in naming.plan_addresses(marks, domains, total):
        group = by_domain[one.domain]
        if one.username.startswith("\0"):
            group.blanks.append(_("name %(n)s is missing") % {"n": one.position + 1})
        else:
            group.addresses.append(PreviewLine(one.address))
    sender = " ".join(f"{first_name} {last_name}".split()) or _("Your name")
    first = next((line.address for group in groups for line in group.addresses), "")
    return Preview(
        groups=groups,
        sender=sender,
        sender_initial=sender[0].upper(),
        sender_address=first or _("your first address"),
        reasons=[
            _("Name %(n)s: %(reason)s") % {"n": place, "reason": said(verdict.reason)}
            for place, verdict in enumerate(verdicts, start=1)
            if verdict.reason and verdict.typed.strip()
        ],
        title=ngettext("%(n)s address", "%(n)s addresses", total) % {"n": total},
    )


def people_preview(draft: Provision, named: Sequence[people.Person], wrong: Sequence[str]) -> Preview:
    """Draw who writes from which address: nobody as long as a row is wrong, or there are too few or too many people."""
    names, total = [domain.name for domain in drafts.chosen(draft)], drafts.size(draft).mailboxes
    problem = people.count_problem(len(named), len(names), total)
    dealt = [] if problem or wrong else people.deal(named, names, total)
    groups = [PreviewGroup(name, [], []) for name in names if dealt]
    by_domain = {group.domain: group for group in groups}
    for one in dealt:
        by_domain[one.domain].addresses.append(PreviewLine(one.address, _who(draft, one.person)))
    is_begun = bool(named or wrong)
    note = _("Recipients see the name beside each address.") if dealt else ""
    return Preview(
        groups=groups,
        reasons=list(wrong) or ([said(problem)] if problem and is_begun else []),
        title=ngettext("%(n)s address", "%(n)s addresses", total) % {"n": total},
        note=note if is_begun else _("They appear once you name people."),
    )


def _who(draft: Provision, person: people.Person) -> str:
    limit = person.daily_limit or drafts.most_a_day(draft)
    return _("%(name)s, up to %(limit)s mails a day") % {"name": person.name, "limit": limit}


def dealing_rule(draft: Provision) -> list[str]:
    """Say how people come to mailboxes, before anybody is named."""
    domains, boxes = len(drafts.chosen(draft)), drafts.size(draft).mailboxes
    fewest = drafts.patterns_needed(draft)
    values = {"domains": domains, "boxes": boxes, "fewest": fewest}
    rules = [_("People take the mailboxes in turn, domain after domain, and begin again when the list ends.")]
    if domains > 1:
        rules += [
            _("%(fewest)s people: the same ones write from each of your %(domains)s domains.") % values,
            _("%(boxes)s people: one mailbox for each.") % values,
        ]
    rules.append(_("An address is made of the name: Zoë Keen becomes zoe.keen. Who is listed twice has two mailboxes."))
    return rules


# Review -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SummaryRow:
    label: str
    lines: list[str]
    many: bool
    href: str
    change_words: str


@dataclass(frozen=True, slots=True)
class Review:
    lede: str
    rows: list[SummaryRow]
    totals: list[Fact]
    today: str
    monthly: str
    refund: str
    notes: list[str]
    button_label: str
    total_cents: int
    monthly_cents: int
    checking: bool
    checking_title: str
    checking_text: str
    poll_href: str


def bill_of(draft: Provision) -> Bill:
    """Return what an order costs. What an upgrade costs, Stripe says."""
    tier = draft.tier
    assert tier is not None
    quantity = tier.quantity(len(drafts.chosen(draft)))
    setup, monthly = tier.setup_fee_cents * quantity, tier.monthly_fee_cents * quantity
    return Bill(
        lines=[
            Fact(_("Set-up, once"), _times(quantity, tier.setup_fee_cents, tier.currency)),
            Fact(_("First month"), _times(quantity, tier.monthly_fee_cents, tier.currency)),
        ],
        today_cents=setup + monthly,
        monthly_cents=monthly,
        currency=tier.currency,
    )


def _times(quantity: int, cents: int, currency: str) -> str:
    """Return a fee; where it is due for each domain, how it is made up."""
    if quantity == 1:
        return money(cents, currency)
    return f"{quantity} × {money(cents, currency)} = {money(quantity * cents, currency)}"


def review(draft: Provision, bill: Bill, *, checking: Collection[str], busy: str) -> Review:
    """Everything that was answered, and what it costs."""
    tier = draft.tier
    assert tier is not None
    chosen = drafts.chosen(draft)
    share = setup_fee_cents(draft, tier.quantity(len(chosen))) // max(1, len(chosen))
    return Review(
        lede=_("Nothing is bought before you pay. The button charges the card that you have already given.")
        if draft.enlarges_id
        else _("Nothing is bought before you pay. You pay on a page of Stripe, and come back here."),
        rows=_answers(draft, tier),
        totals=bill.lines,
        today=money(bill.today_cents, bill.currency),
        monthly=money(bill.monthly_cents, bill.currency),
        refund=_(
            "If a name is lost after you pay, a spare takes its place. If none can, you choose another name or get "
            "%(share)s back for it."
        )
        % {"share": money(share, tier.currency)},
        notes=_review_notes(draft, tier),
        button_label=_("Pay %(amount)s") % {"amount": money(bill.today_cents, bill.currency)},
        total_cents=bill.today_cents,
        monthly_cents=bill.monthly_cents,
        checking=bool(checking),
        checking_title=_("Checking your names once more"),
        checking_text=" ".join(
            filter(
                None,
                [
                    _("It is a while since we asked about %(names)s. We ask again, so that you pay for free names.")
                    % {"names": listed(sorted(checking))},
                    busy,
                ],
            )
        )
        if checking
        else "",
        poll_href=f"{steps.address(draft, 'review-state')}?version={review_version(checking=checking, busy=busy)}",
    )


def _answers(draft: Provision, tier: Tier) -> list[SummaryRow]:
    """Return what was answered, page by page."""
    chosen, spares, registered = drafts.chosen(draft), drafts.spares(draft), registering.agreed(draft)
    addresses, named = drafts.plan(draft), drafts.named(draft)
    package, domains, mailboxes = (steps.address(draft, page) for page in ("package", "domains", "mailboxes"))
    sender = f"{draft.sender_first_name} {draft.sender_last_name}".strip()
    own = [row.title for row in account_cards(draft.student, drafts.platforms(draft)) if row.uses_own]
    accounts = [_("Your own at %(platforms)s") % {"platforms": listed(own)} if own else _("The operator's")]
    return [
        _row(_("Package"), [tier.name], package, _("the package")),
        *(
            [_row(_("Accounts"), accounts, steps.address(draft, "accounts"), _("the accounts"))]
            if drafts.asks_for_accounts(draft)
            else []
        ),
        _row(
            _("Domains"),
            [_domain_line(domain, registered) for domain in chosen],
            domains,
            _("the domains"),
        ),
        _row(_("Spares"), [domain.name for domain in spares] or [_("None")], domains, _("the spares")),
        _row(_("People"), [_who(draft, one) for one in named], mailboxes, _("the people"))
        if named
        else _row(_("Sender"), [sender], mailboxes, _("the sender")),
        _row(_("Mailboxes"), [one.address for one in addresses], mailboxes, _("the mailboxes")),
    ]


def _review_notes(draft: Provision, tier: Tier) -> list[str]:
    """Return what somebody should know before paying."""
    chosen, registered = drafts.chosen(draft), registering.agreed(draft)
    own = [domain.name for domain in chosen if domain.is_own and domain.name not in registered]
    notes = []
    if registered:
        text = _("GoDaddy charges your own account for %(names)s, beside what you pay here, once your order is paid.")
        notes.append(text % {"names": listed([f"{name} ({price})" for name, price in registered.items()])})
    if not all(domain.is_own for domain in chosen):
        notes.append(
            _("The bootcamp's operator registers the domains in its own name, for your use. You can take them along.")
        )
    if own:
        text = _(
            "%(names)s: you keep paying your registrar. After you have paid us, we ask you to change the"
            " nameservers there; e-mail that you receive at it today stops then."
        )
        notes.append(text % {"names": listed(own)})
    if renewals := sum(domain.renewal_cents for domain in chosen):
        text = _("Renewing these domains costs %(amount)s a year from the second year on.")
        notes.append(text % {"amount": money(renewals, tier.currency)})
    warmup = _("Then %(days)s of warmup begin.") % {"days": _days(tier.warmup_days)}
    return [*notes, f"{words.how_long(tier.stack)} {warmup}"]


def _domain_line(domain: Domain, registered: Mapping[str, str]) -> str:
    if domain.name in registered:
        return _("%(name)s (registered for you at GoDaddy)") % {"name": domain.name}
    return _("%(name)s (your own)") % {"name": domain.name} if domain.is_own else domain.name


def review_version(*, checking: Collection[str], busy: str) -> str:
    """Return what changes when the review page would look different."""
    return version_of(sorted(checking), busy)


def _row(label: str, lines: list[str], href: str, change_words: str) -> SummaryRow:
    return SummaryRow(label, lines, len(lines) > 1, href, change_words)
