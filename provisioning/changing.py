"""What a student may have changed of a domain's records: the DMARC policy, and SPF with addresses in place of names.

Each is a run of the stack's own pipeline (`life.change`), proven by the platform's list; the name servers are watched
afterwards. What a stack cannot write is refused with its sentence.
"""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _

from infra import clock
from infra.dns import dmarc
from infra.dns.replay import Replay
from infra.dns.spf.flatten import CannotFlatten, Flattening, flatten
from infra.models import DnsCheck, Domain, SpfFlattening

from . import life, seeing
from .actions import Refused
from .engine.zoning import FLATTEN, POLICY, RESTORE
from .models import Run

FRESH = timedelta(hours=1)  # vendor time for which an answer is good enough to write addresses by


def rung_of(domain: Domain) -> dmarc.Rung:
    """Return the step of the ladder that we set for a domain."""
    return dmarc.Rung(str(domain.facts.get("dmarc_rung") or domain.provision.order.get("dmarc_policy") or "none"))


def change_policy(*, domain: Domain, rung: dmarc.Rung, actor: str) -> Run:
    """Begin to set another step of the DMARC ladder. Raises Refused."""
    zoning = seeing.zoning_of(domain.provision)
    if zoning is None or not zoning.rungs:
        raise Refused(str(zoning.no_policy) if zoning else _("The policy of this domain cannot be changed here."))
    if rung not in zoning.rungs:
        raise Refused(_("The platform that runs this domain's name servers does not know this step."))
    return life.change(
        provision=domain.provision,
        domain=domain,
        pipeline=POLICY,
        wanted={"facts": {"dmarc_rung": str(rung)}},
        actor=actor,
        dmarc_policy=dmarc.LADDER[rung][0],
    )


def in_use(domain: Domain) -> SpfFlattening | None:
    """Return the flattening that a domain's SPF record was written by; None while names stand in it."""
    return SpfFlattening.objects.filter(domain=domain, ended_at=None).select_related("domain").first()


def offered(domain: Domain, check: DnsCheck | None) -> Flattening:
    """Return what would stand in a domain's SPF record, from the answers of the last look. Raises CannotFlatten.

    One that is in use already is made anew from its original.
    """
    last = in_use(domain)
    original = last.original if last else seeing.published_spf(check, domain.name)
    return flatten(domain.name, original, Replay(check.seen.get("answers") or {} if check else {}))


def flatten_spf(*, domain: Domain, actor: str) -> Run:
    """Begin to write addresses in place of names into a domain's SPF record, or their present ones. Raises Refused."""
    _refuse_where_it_is_not_ours(domain)
    check = DnsCheck.objects.filter(domain=domain).first()
    if check is None or check.looked_at is None or check.looked_at < clock.vendor_now() - FRESH:
        raise Refused(_("What we know of this record is too old to write addresses by. Press “Check now” first."))
    try:
        found = offered(domain, check)
    except CannotFlatten as refusal:
        raise Refused(str(refusal)) from refusal
    return life.change(
        provision=domain.provision,
        domain=domain,
        pipeline=FLATTEN,
        wanted={
            "facts": {"spf_records": dict(found.records), "spf_text": found.original},
            "flattening": {
                "original": found.original,
                "flattened": dict(found.records),
                "sources": list(found.sources),
                "networks": list(found.networks),
                "lookups_before": found.lookups_before,
                "lookups_after": found.lookups_after,
                "characters": found.characters,
                "refresh": found.refresh,
            },
        },
        actor=actor,
    )


def restore_spf(*, domain: Domain, actor: str) -> Run:
    """Begin to write back the SPF record that stood there before it was flattened. Raises Refused."""
    _refuse_where_it_is_not_ours(domain)
    last = in_use(domain)
    if last is None:
        raise Refused(_("The record holds names, not copied addresses: there is nothing to write back."))
    return life.change(
        provision=domain.provision,
        domain=domain,
        pipeline=RESTORE,
        wanted={"facts": {"spf_records": {}, "spf_text": last.original}},
        actor=actor,
    )


def _refuse_where_it_is_not_ours(domain: Domain) -> None:
    zoning = seeing.zoning_of(domain.provision)
    if zoning is None or zoning.no_flatten:
        raise Refused(str(zoning.no_flatten) if zoning else _("The records of this domain cannot be changed here."))
