"""What the pages of one domain say, and what can be pressed on them. Another student's domain is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from infra.dashboard.domains.compliance import CompliancePage, compliance_page
from infra.dashboard.domains.dns import DnsPage, dns_page
from infra.dashboard.domains.kit import Sight
from infra.dashboard.domains.policy import PolicyPage, policy_page
from infra.dashboard.domains.spf import SpfPage, spf_page
from infra.dashboard.domains.views import SPF, WATCHING, sight_of
from infra.dns.dmarc import Rung
from provisioning import changing, seeing
from provisioning.actions import Refused

from .base import Endpoint, EnrolledOrOwner
from .errors import ApiError, not_found
from .views import answers, body_of, given


class WatchSerializer(serializers.Serializer[Any]):
    """Start to watch, stop, or go on with what was stopped or has run out."""

    action = serializers.ChoiceField(choices=list(WATCHING))


class SpfSerializer(serializers.Serializer[Any]):
    """Write addresses in place of names (or their present ones), or write the earlier record back."""

    action = serializers.ChoiceField(choices=list(SPF))


class PolicySerializer(serializers.Serializer[Any]):
    """A step of the DMARC ladder."""

    rung = serializers.ChoiceField(choices=[str(one) for one in Rung])


class OfDomain(Endpoint):
    """What all of these have in common."""

    permission_classes = [EnrolledOrOwner]

    def sight(self, name: str) -> Sight:
        """Return the domain as the student's pages see it now. Raises ApiError."""
        try:
            return sight_of(self.student, name)
        except Http404:
            raise not_found() from None

    def act(self, name: str, action: Callable[..., Any], **values: Any) -> None:
        """Do what a button does. Raises ApiError with the button's own sentence."""
        try:
            action(domain=self.sight(name).domain, actor=self.student.email, **values)
        except Refused as refusal:
            raise ApiError(409, "refused", str(refusal)) from refusal


class Dns(OfDomain):
    """Each record that should be there, what name servers show of it, and the watch."""

    @extend_schema(operation_id="domain_dns", responses=answers(DnsPage, 404))
    def get(self, request: Request, name: str) -> Response:
        return body_of(dns_page(self.sight(name)))


class Check(OfDomain):
    """Look again, at most every 25 seconds: the last answer is used until then, and says when it was seen."""

    throttle_name = "write"

    @extend_schema(operation_id="domain_check", request=None, responses=answers(DnsPage, 404, 409))
    def post(self, request: Request, name: str) -> Response:
        self.act(name, seeing.check_now)
        return body_of(dns_page(self.sight(name)))


class Watch(OfDomain):
    """Watch a domain's records until every name server shows them."""

    throttle_name = "write"

    @extend_schema(operation_id="domain_watch", request=WatchSerializer, responses=answers(DnsPage, 400, 404, 409))
    def post(self, request: Request, name: str) -> Response:
        self.act(name, WATCHING[given(WatchSerializer, request)["action"]])
        return body_of(dns_page(self.sight(name)))


class Spf(OfDomain):
    """What the SPF record leads to; a POST writes addresses in place of names, or the earlier record back."""

    throttle_name = "write"

    @extend_schema(operation_id="domain_spf", responses=answers(SpfPage, 404))
    def get(self, request: Request, name: str) -> Response:
        return body_of(spf_page(self.sight(name)))

    @extend_schema(operation_id="change_spf", request=SpfSerializer, responses=answers(SpfPage, 400, 404, 409))
    def post(self, request: Request, name: str) -> Response:
        self.act(name, SPF[given(SpfSerializer, request)["action"]])
        return body_of(spf_page(self.sight(name)))


class Policy(OfDomain):
    """Where the DMARC policy stands, and whether to go further; a POST sets a step."""

    throttle_name = "write"

    @extend_schema(operation_id="domain_policy", responses=answers(PolicyPage, 404))
    def get(self, request: Request, name: str) -> Response:
        return body_of(policy_page(self.sight(name)))

    @extend_schema(operation_id="change_policy", request=PolicySerializer, responses=answers(PolicyPage, 400, 404, 409))
    def post(self, request: Request, name: str) -> Response:
        self.act(name, changing.change_policy, rung=Rung(given(PolicySerializer, request)["rung"]))
        return body_of(policy_page(self.sight(name)))


class Compliance(OfDomain):
    """What Gmail, Yahoo and Outlook ask: proven, disproven, or not to be seen in DNS."""

    @extend_schema(operation_id="domain_compliance", responses=answers(CompliancePage, 404))
    def get(self, request: Request, name: str) -> Response:
        return body_of(compliance_page(self.sight(name)))
