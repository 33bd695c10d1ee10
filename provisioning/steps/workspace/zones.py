"""The zones of the student's domains at Cloudflare: made, led to by their owner, and what stands in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from infra.dns import dmarc, mx
from infra.dns.plan import Action, Existing, Plan, plan
from infra.dns.records import BadRecord, Record, purpose, record
from integrations import cloudflare
from integrations.cloudflare import Changed, DnsRecord, mark, marked
from integrations.http.call import Call
from integrations.http.errors import NotFound, Rejected

from ...engine.context import Context, DomainItem
from ...engine.ledger import ELSEWHERE, Book
from ...engine.outcomes import Done, Failed, Lost, NeedsOperator, Outcome, Wait
from ...engine.specs import MINUTE
from ...engine.zoning import Expected, Zone
from ..common import MOST_PAGES, look, one_by_one, wait_for

PLATFORM = "cloudflare"
FULL = frozenset({"zone_limit"})  # refusals that mean "not now"
NO_DOMAIN = ("not_registered", "ending_refused", "bad_name")
BATCHES = ("records", "dkim")  # what is written while a set-up is built, each with its key
IN_THE_WAY, REFUSED = "records_in_the_way", "records_refused"  # codes of what a person has to look at
SELECTOR = "google"  # the prefix that whoever makes a key is told to choose
SPF = "v=spf1 include:_spf.google.com ~all"
SOON = 20.0  # vendor seconds after asking, when it usually has looked
CHECK_EVERY = timedelta(hours=1)  # how often they look at a domain's name servers again when asked to


def zones(ctx: Context) -> Mapping[str, Outcome]:
    """Make a zone for each domain, or find the one that the account has, and note the name servers that it names."""
    return one_by_one(ctx.domains, lambda domain: _zone(ctx, domain))


def _zone(ctx: Context, domain: DomainItem) -> Outcome:
    client, name = ctx.clients.cloudflare, domain.name

    def find() -> cloudflare.Zone | None:
        there: tuple[cloudflare.Zone, ...] = ctx.read(client.find_zone(name))
        return there[0] if there else None

    made: cloudflare.Zone | Book[cloudflare.Zone] | None = None
    if not ctx.ledger.counts(PLATFORM, "create_zone", [name]):
        made = find()  # from an order of earlier: zones are kept
    try:
        made = made or ctx.ledger.obtain(name, lambda: client.create_zone(name), find, again=FULL)
    except Rejected as refusal:
        return _refused(name, refusal)
    if isinstance(made, Book):
        if made.refusal is not None:
            return Wait(10 * MINUTE, why=f"Cloudflare takes no more zones at the moment: {made.refusal.sentence}")
        return wait_for(made, name, ctx, "whether the zone was made is being checked")
    if made is not None and not made.name_servers:
        made = find()  # the answer that made it did not say, and is not asked for again
    if made is None or not made.name_servers:
        return Wait(ctx.poll, why=f"the zone of {name} names no name servers yet")
    return Done({"cloudflare_zone_id": made.id, "nameservers": list(made.name_servers)})


def _refused(name: str, refusal: Rejected) -> Outcome:
    if refusal.code in NO_DOMAIN:
        return Lost(f"The platform takes no domain like {name}.")
    if refusal.code == ELSEWHERE:
        why = f"{name} is a zone of somebody else's account at Cloudflare: its owner has to remove it there first"
        return NeedsOperator("zone_elsewhere", f"{why}; then retry")
    return NeedsOperator(refusal.code, f"{name} was refused: {refusal.sentence}")


def zone_active(ctx: Context) -> Mapping[str, Outcome]:
    """Wait until Cloudflare, too, has seen that a domain leads to its zone; ask it to look, once an hour at most."""
    return one_by_one(ctx.domains, lambda domain: _active(ctx, domain))


def _active(ctx: Context, domain: DomainItem) -> Outcome:
    client, zone = ctx.clients.cloudflare, _zone_of(domain)
    if ctx.read(client.get_zone(zone)).active:
        ctx.ledger.prove(PLATFORM, "activation_check", {domain.name: {"read_back": True}})
        return Done()
    asked = parse_datetime(str(domain.facts.get("activation_asked_at", "")))
    if asked is not None and ctx.now < asked + CHECK_EVERY:
        return Wait(ctx.poll, why="Cloudflare has not seen the name servers yet")
    try:
        ctx.ledger.apply(client.activation_check(domain.name, zone))
    except Rejected as refusal:
        if refusal.code != "checked_recently":
            raise
    asked_now = {"activation_asked_at": ctx.now.isoformat()}
    return Wait(min(ctx.poll, SOON), why="Cloudflare is looking at the name servers", facts=asked_now)


def records(ctx: Context) -> Mapping[str, Outcome]:
    """Write what mail needs into each zone: mail servers, SPF, the first DMARC policy, and Google's proof of ownership."""
    if not ctx.options.dmarc_report_email:
        return {one.key: NeedsOperator("dmarc_address", "DMARC_REPORT_EMAIL is not set") for one in ctx.domains}
    return one_by_one(ctx.domains, lambda domain: published(ctx, domain, "records") or _kept(ctx, domain))


def seen(ctx: Context) -> Mapping[str, Outcome]:
    """See what was written in public DNS: at the domain's own servers, then at resolvers. What was seen is shown."""
    return one_by_one(ctx.domains, lambda domain: look(ctx, wanted(ctx, domain).values(), domain.name))


def dkim_published(ctx: Context) -> Mapping[str, Outcome]:
    """Write the key that a person has made at Google into the zone, and see it at every server."""
    return one_by_one(
        ctx.domains,
        lambda domain: published(ctx, domain, "dkim") or look(ctx, wanted(ctx, domain).values(), domain.name),
    )


def taken_back(ctx: Context) -> Mapping[str, Outcome]:
    """Take back what was written for a set-up that was given up before it ever ran: records with its mark, by id. What
    the owner put there stays, and so does the zone, to which the domain leads."""
    if ctx.provision.ready_at is not None:
        return {one.key: Done() for one in ctx.domains}
    return one_by_one(ctx.domains, lambda domain: _take_back(ctx, domain))


def _take_back(ctx: Context, domain: DomainItem) -> Outcome:
    if "cloudflare_zone_id" not in domain.facts:
        return Done()
    try:
        rows = rows_of(ctx, domain)
    except (NotFound, Rejected):
        return Done({"zone_gone": True})  # and with it everything that stood there
    mine = {row: its[1] for row in rows if (its := marked(row.comment)) and its[0] == ctx.reference}
    for about in BATCHES:  # what is still on its way there would come back after it was taken away
        there = {kind for kind in mine.values() if (kind == "dkim") is (about == "dkim")}
        if wait := _still_under_way(ctx, domain, about, bool(there)):
            return wait
    key = _key(domain, "taken back")
    if mine:
        removal = ctx.clients.cloudflare.batch_records(domain.name, _zone_of(domain), deletes=tuple(mine), key=key)
        book = ctx.ledger.bring_about([key], lambda _keys: removal, dict, again=frozenset({"record_gone"}))
        left = [row for row in rows_of(ctx, domain) if row in mine]
        if left:
            return wait_for(book, key, ctx, "the list still shows records of ours")
    ctx.ledger.prove(PLATFORM, "batch_records", {key: {"read_back": True}})
    return Done({"records_taken_back": True})


def _still_under_way(ctx: Context, domain: DomainItem, about: str, is_there: bool) -> Outcome | None:
    """Return what to wait for while nobody knows whether an earlier batch was carried out."""
    key, like_any = _key(domain, about), DnsRecord("TXT", domain.name, SPF, comment=mark(ctx.reference, "spf"))
    book = ctx.ledger.settle(
        [key],
        lambda _keys: ctx.clients.cloudflare.batch_records(domain.name, _zone_of(domain), posts=[like_any], key=key),
        lambda: {key: {"read_back": True}} if is_there else {},
    )
    if key not in book.waiting or ctx.ledger.sendable(PLATFORM, "batch_records", [key]):
        return None
    return wait_for(book, key, ctx, "whether records are still on their way is being checked")


# ---- what should stand in a zone -------------------------------------------------------------------------------------


def wanted(ctx: Context, domain: DomainItem) -> dict[str, Record]:
    """Return every record that should stand in a zone by now, by purpose; a change that is under way counts as made."""
    facts = {**domain.facts, **changes_of(ctx, domain)}
    return desired(Zone(domain.name, facts, ctx.order, ctx.options, ctx.clients))


def changes_of(ctx: Context, domain: DomainItem) -> Mapping[str, Any]:
    """Return the facts that a change run is about; see `life.change`."""
    change = ctx.order.get("change") or {}
    return change["facts"] if change.get("domain") == domain.name else {}


def desired(zone: Zone) -> dict[str, Record]:
    """Return every record that should stand in a zone, by purpose, as far as its facts know it."""
    name, facts = zone.name, zone.facts
    policy = dmarc.parse(dmarc.first_record(zone.options.dmarc_report_email))
    rung = dmarc.Rung(str(facts.get("dmarc_rung") or zone.order.get("dmarc_policy") or "none"))
    flattened: Mapping[str, str] = facts.get("spf_records") or {}
    found = {
        "spf": record("TXT", name, flattened.get(name) or str(facts.get("spf_text") or SPF)),
        "dmarc": record("TXT", f"_dmarc.{name}", dmarc.at_rung(policy, rung).text()),
    }
    parts = ((owner, text) for owner, text in flattened.items() if owner != name)
    found |= {f"spf_{number}": record("TXT", owner, text) for number, (owner, text) in enumerate(parts, 1)}
    if not facts.get("keeps_mail_servers"):
        found["mx"] = mx.google_records(name)[0]
    if google := facts.get("google_txt"):
        found["google"] = record("TXT", name, str(google))
    if key := facts.get("dkim_record"):
        found["dkim"] = record("TXT", f"{SELECTOR}._domainkey.{name}", str(key))
    tool = zone.clients.smartlead.settings
    found["tracking"] = record("CNAME", tool.tracking_host(name), tool.tracking_target)
    return found


def expected(zone: Zone) -> Sequence[Expected]:
    """Return the same for who looks at them from outside of a run."""
    return [Expected(purpose.partition("_")[0], one) for purpose, one in desired(zone).items()]


def change(ctx: Context) -> Mapping[str, Outcome]:
    """Write what a student wants changed: the policy, or the SPF record. Proven by the zone's own list.

    What stands in its way is said to the student, and nothing is written then.
    """
    return one_by_one(ctx.domains, lambda domain: _changed(ctx, domain))


ABOUT = {"dmarc_rung": "dmarc", "spf_records": "spf"}  # fact that a change is about -> the records that it may touch


def _changed(ctx: Context, domain: DomainItem) -> Outcome:
    kinds = [kind for fact, kind in ABOUT.items() if fact in changes_of(ctx, domain)]
    if why := _meanwhile(ctx, domain):
        return Failed(IN_THE_WAY, why)
    # Each change is a batch of its own: what an earlier one has settled says nothing of this one.
    waiting = published(ctx, domain, f"change {ctx.order['number']}", agreed=("many",), kinds=kinds)
    if isinstance(waiting, NeedsOperator) and waiting.code in (IN_THE_WAY, REFUSED):
        return Failed(waiting.code, waiting.why)
    return waiting or _kept(ctx, domain)


def _meanwhile(ctx: Context, domain: DomainItem) -> str:
    """Return that the SPF record was changed since it was looked at, where names in it are to be replaced by addresses."""
    looked_at = (ctx.order["change"].get("flattening") or {}).get("original")
    if looked_at is None:
        return ""
    before = desired(Zone(domain.name, domain.facts, ctx.order, ctx.options, ctx.clients))["spf"]
    known = (record("TXT", domain.name, str(looked_at)), before, wanted(ctx, domain)["spf"])
    there = (one for row in rows_of(ctx, domain) if (one := _canonical(row)) is not None)
    if all(one in known for one in there if one.owner == domain.name and purpose(one) == "SPF"):
        return ""
    return _("The SPF record was changed at Cloudflare since we looked. Press “Check now”, then try again.")


def published(
    ctx: Context, domain: DomainItem, about: str, *, agreed: Collection[str] = (), kinds: Collection[str] = ()
) -> Outcome | None:
    """Have a zone hold what is wanted of it; return what to wait for, or None when the list shows all of it.

    One batch, all or nothing. Only rows that we made are changed; where another stands in the way, nothing is sent.
    `about` names the batch: what one of them has settled says nothing of a later one. `agreed`: see `plan`. `kinds`: which
    records it is about, all of them without: others of ours may have been changed by their owner, and stay as they are.
    """
    rows = rows_of(ctx, domain)
    mine = {kind: one for kind, one in wanted(ctx, domain).items() if kind != "mx" or not _at_google(domain.name, rows)}
    if kinds:
        mine = {kind: one for kind, one in mine.items() if kind.partition("_")[0] in kinds}
        rows = [row for row in rows if not (its := marked(row.comment)) or its[1].partition("_")[0] in kinds]
    if not _lacking(rows, mine):
        ctx.ledger.prove(PLATFORM, "batch_records", {_key(domain, about): {"read_back": True}})
        return None
    change = planned(domain.name, rows, mine, agreed=agreed)
    if not change.is_safe:
        why = "; ".join(str(one.said) for one in change.refused[:3])
        return NeedsOperator(IN_THE_WAY, f"{domain.name}: {why} Remove it at Cloudflare if its owner agrees")
    book = ctx.ledger.bring_about(
        [_key(domain, about)],
        lambda _keys: _batch(ctx, domain, about, rows, change, mine),
        lambda: {} if _lacking(rows_of(ctx, domain), mine) else {_key(domain, about): {"read_back": True}},
        again=frozenset({"name_conflict", "record_gone", "bad_record", "quota_exceeded", "email_routing"}),
    )
    if book.refusal is not None:
        return NeedsOperator(REFUSED, f"{domain.name}: {book.refusal.sentence}; this goes on by itself once mended")
    if _lacking(rows_of(ctx, domain), mine):
        return wait_for(book, _key(domain, about), ctx, "the list does not show every record yet")
    ctx.ledger.prove(PLATFORM, "batch_records", {_key(domain, about): {"read_back": True}})
    return None


def _key(domain: DomainItem, about: str) -> str:
    return f"{domain.name} {about}"


def _batch(
    ctx: Context,
    domain: DomainItem,
    about: str,
    rows: list[DnsRecord],
    change: Plan,
    mine: Mapping[str, Record],
) -> Call[Changed]:
    """Return the one request that carries a plan out; where nothing is left to do, the one that would make all of it."""
    by_id, purposes = {row.id: row for row in rows}, {one: purpose for purpose, one in mine.items()}

    def written(one: Record) -> DnsRecord:
        comment = mark(ctx.reference, purposes[one])
        return DnsRecord(str(one.type), one.owner, one.value, one.priority, comment=comment)

    posts = [written(step.record) for step in change.changes if step.action is Action.CREATE and step.record]
    patches = [
        (by_id[step.existing.id], written(step.record))
        for step in change.changes
        if step.action is Action.UPDATE and step.record and step.existing
    ]
    deletes = [by_id[step.existing.id] for step in change.changes if step.action is Action.DELETE and step.existing]
    if not change.changes:
        posts = [written(one) for one in mine.values()]
    return ctx.clients.cloudflare.batch_records(
        domain.name, _zone_of(domain), deletes=deletes, patches=patches, posts=posts, key=_key(domain, about)
    )


def planned(zone: str, rows: list[DnsRecord], mine: Mapping[str, Record], *, agreed: Collection[str] = ()) -> Plan:
    """Return what to change in a zone. Mail servers of Google's that we found there stay: they are no rows of ours."""
    there = [Existing(row.id, one, row.is_ours) for row in rows if (one := _canonical(row)) is not None]
    return plan(zone, list(mine.values()), there, agreed=agreed)


def _lacking(rows: list[DnsRecord], mine: Mapping[str, Record]) -> list[Record]:
    there = {one for row in rows if (one := _canonical(row)) is not None}
    return [one for one in mine.values() if one not in there]


def _at_google(zone: str, rows: list[DnsRecord]) -> bool:
    """Tell whether mail of a zone goes to Google already, by records that we did not make: the old five will do."""
    foreign = [one for row in rows if not row.is_ours and (one := _canonical(row)) is not None]
    servers = [one for one in foreign if one.type == "MX" and one.owner == zone]
    return mx.provider_of(servers) in (mx.Provider.GOOGLE, mx.Provider.GOOGLE_OLD)


def rows_of(ctx: Context, domain: DomainItem) -> list[DnsRecord]:
    """Return every record of a domain's zone, as Cloudflare lists it."""
    rows, number = list[DnsRecord](), 1
    for _page in range(MOST_PAGES):
        page = ctx.read(ctx.clients.cloudflare.list_records(_zone_of(domain), number))
        rows += page.records
        if page.next_page is None:
            break
        number = page.next_page
    return rows


def _canonical(row: DnsRecord) -> Record | None:
    try:
        return record(row.type, row.name, row.content, row.priority)
    except BadRecord:
        return None


def _kept(ctx: Context, domain: DomainItem) -> Outcome:
    """Note what a zone holds, for the student's pages and exports: rows, and when they were read."""
    rows = rows_of(ctx, domain)
    plain = [[row.type, row.name, row.content, row.priority] for row in rows]
    facts: dict[str, object] = {"dns_records": plain, "dns_read_at": ctx.now.isoformat()}
    if _at_google(domain.name, rows):
        facts["keeps_mail_servers"] = True
    return Done(facts)


def _zone_of(domain: DomainItem) -> str:
    return str(domain.facts["cloudflare_zone_id"])
