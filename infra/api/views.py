"""The addresses of the API. Each does what a page does, with the same functions."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import Fulfilment
from billing.standing import payment_standing
from infra import clock, naming, rls, suggestions, throttle
from infra.dashboard import batches, board, mail_tests, presenters
from infra.estate import exports
from infra.estate import presenters as estate
from infra.estate import views as estate_views
from infra.estate.forms import ExportForm
from infra.models import Domain, Mailbox, Provision, RenewalChoice, User
from infra.presenters_base import said
from infra.wizard import drafts
from provisioning import inventory, search
from provisioning import mail_tests as testing
from provisioning.actions import Refused
from provisioning.models import Run

from . import bodies
from .base import Endpoint, EnrolledOrOwner, SharedThrottle
from .errors import ApiError, not_found
from .shapes import serializer_of

MOST_NAMES = 40


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """Why not. More members where they help: `fields`, `names`, `payment_url`, `retry_after_seconds`."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Error:
    error: ErrorDetail


class BrandSerializer(serializers.Serializer[Any]):
    """A brand, as a student would write it."""

    brand = serializers.CharField(max_length=1000, allow_blank=True)


class WantedSerializer(serializers.Serializer[Any]):
    """Domain names, as typed or as suggested."""

    names = serializers.ListField(
        child=serializers.CharField(max_length=400), min_length=1, max_length=MOST_NAMES, allow_empty=False
    )


class ChoiceSerializer(serializers.Serializer[Any]):
    """What becomes of a domain when its paid year ends."""

    domain = serializers.CharField(max_length=253)
    choice = serializers.ChoiceField(choices=RenewalChoice.Choice.choices)


class ExportSerializer(serializers.Serializer[Any]):
    """What to export. `rows` are addresses or names, none means all; `password` is the student's own."""

    what = serializers.ChoiceField(choices=["mailboxes", "domains"])
    layout = serializers.ChoiceField(choices=list(exports.LAYOUTS), default="plain")
    rows = serializers.ListField(child=serializers.CharField(max_length=320), max_length=500, default=list)
    with_passwords = serializers.BooleanField(default=False)
    password = serializers.CharField(max_length=256, default="", allow_blank=True, trim_whitespace=False)


ERROR = serializer_of(Error)


def answers(body: type, *refusals: int) -> dict[int, Any]:
    """Return the responses of an operation for the schema."""
    return {200: serializer_of(body), **dict.fromkeys((*refusals, 403, 429), ERROR)}


def body_of(value: Any) -> Response:
    shape: Any = type(value)
    return Response(serializer_of(shape)(value).data)


def given(form: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    filled = form(data=request.data)
    filled.is_valid(raise_exception=True)
    return dict(filled.validated_data)


class Tiers(Endpoint):
    """The packages that can be ordered, in the operator's order."""

    @extend_schema(operation_id="tiers", responses=answers(bodies.Packages))
    def get(self, request: Request) -> Response:
        draft = drafts.current(self.student) or Provision(student=self.student)
        return body_of(bodies.packages(list(drafts.offered_tiers()), draft))


class Suggest(Endpoint):
    """Names for a brand. Asks no platform: hand them to `domains/check`."""

    throttle_name = "write"

    @extend_schema(operation_id="suggest", request=BrandSerializer, responses=answers(bodies.Suggestions, 400, 422))
    def post(self, request: Request) -> Response:
        brand = given(BrandSerializer, request)["brand"]
        draft = drafts.current(self.student) or Provision(student=self.student)
        try:
            names = suggestions.suggest(brand, sold=drafts.sold_endings(draft))
        except suggestions.BrandRefused as refusal:
            raise ApiError(422, refusal.code, said(refusal.sentence), fields={"brand": [said(refusal.sentence)]})
        return body_of(bodies.Suggestions(brand=brand.strip(), names=names, chunk=drafts.chunk_size(draft)))


class Check(Endpoint):
    """What is known of names; those without a recent answer are put into the queue. Ask again for the answers."""

    throttle_name = "write"

    @extend_schema(operation_id="check", request=WantedSerializer, responses=answers(bodies.Names, 400, 422))
    def post(self, request: Request) -> Response:
        draft = drafts.current(self.student) or Provision(student=self.student)
        wanted = _understood(given(WantedSerializer, request)["names"], draft)
        try:
            search.request_names(
                stack=drafts.stack_of(draft),
                student=self.student,
                names=wanted,
                is_paid_work=draft.paid_at is not None,
            )
        except search.AllowanceUsedUp as refusal:
            raise ApiError(429, "names_used_up", str(refusal), retry_after=max(1, refusal.retry_after_seconds))
        return body_of(bodies.checked(draft, wanted, self.student))


def _understood(typed: list[str], draft: Provision) -> list[str]:
    """Return the names in their canonical form; raise ApiError with the reason of each that cannot be ordered."""
    sold, found, refused = drafts.sold_endings(draft), [], []
    for text in typed:
        try:
            found.append(naming.parse_domain(text, sold=sold, main_domain=draft.main_domain).name)
        except naming.NameRefused as refusal:
            refused.append({"name": text, "code": refusal.code, "sentence": said(refusal.sentence)})
    if refused:
        raise ApiError(422, "names_refused", _("Some of these names cannot be ordered."), names=refused)
    return list(dict.fromkeys(found))


class Provisioning(Endpoint):
    """Start building what is paid: the same check as the page after paying. May be repeated."""

    throttle_name = "write"

    @extend_schema(
        operation_id="provision", request=None, responses=answers(bodies.Started, 402, 404, 409) | {503: ERROR}
    )
    def post(self, request: Request) -> Response:
        provision = drafts.current(self.student)
        if provision is None:
            raise ApiError(404, "no_order", _("You have no order yet."))
        standing = payment_standing(provision=provision, actor=self.student)
        if standing.outcome is Fulfilment.PAID:
            provision.refresh_from_db()
            return body_of(bodies.started(provision))
        raise _unpaid(standing.outcome, standing.payment_url)


def _unpaid(outcome: Fulfilment | None, payment_url: str) -> ApiError:
    match outcome:
        case None:
            sentence = _(
                "The payment cannot be looked up at the moment. Nothing is lost. Please try again in a minute."
            )
            return ApiError(503, "unreachable", sentence, retry_after=60)
        case Fulfilment.CONFIRMING:
            sentence = _("Your payment is being confirmed. You need not pay again; building begins by itself.")
            return ApiError(402, "confirming", sentence)
        case Fulfilment.REFUNDED:
            sentence = _("This payment was not needed. All of it is being refunded.")
            return ApiError(409, "refunded", sentence)
        case Fulfilment.OPEN:
            sentence = _("This order is not paid yet. Pay on the payment page; building begins by itself.")
            return ApiError(402, "unpaid", sentence, payment_url=payment_url)
    sentence = _("This order is not paid yet. Nothing was charged, and everything you chose is kept.")
    return ApiError(402, "unpaid", sentence)


class Status(Endpoint):
    """Where an order stands. With the version seen, 204 while nothing changed."""

    permission_classes = [EnrolledOrOwner]

    @extend_schema(
        operation_id="status",
        parameters=[OpenApiParameter("version", str, description="The version seen last.")],
        responses=answers(bodies.Status, 404) | {204: None, 304: None},
    )
    def get(self, request: Request, provision_id: uuid.UUID) -> Response:
        mine = Provision.objects.filter(pk=provision_id, student=self.student).select_related("tier", "student")
        provision = mine.first()
        if provision is None:
            raise not_found()
        found = bodies.status(self.student, provision, now=timezone.now())
        etag = f'"{found.version}"'
        if request.query_params.get("version") == found.version:
            response = Response(status=204)
        elif etag in request.headers.get("If-None-Match", ""):
            response = Response(status=304)
        else:
            response = body_of(found)
        response["ETag"] = etag
        return response


class Dashboard(Endpoint):
    """What runs, as the dashboard says it. Never a password."""

    permission_classes = [EnrolledOrOwner]

    @extend_schema(operation_id="dashboard", responses=answers(board.Dashboard, 404))
    def get(self, request: Request) -> Response:
        provision = drafts.current(self.student)
        if provision is None or provision.state not in presenters.RUNNING:
            raise ApiError(404, "not_running", _("Nothing of yours is running yet."))
        return body_of(board.dashboard(self.student, provision, now=clock.vendor_now()))


class Batch(Endpoint):
    """The domains of an order at a glance; a POST has those that failed tried once more."""

    permission_classes = [EnrolledOrOwner]

    def get_throttles(self) -> list[Any]:
        """Count a press of the button as such."""
        if self.request.method == "POST":
            self.throttle_name = "write"
        return super().get_throttles()

    @extend_schema(operation_id="batch", responses=answers(batches.Batch, 404))
    def get(self, request: Request, provision_id: uuid.UUID) -> Response:
        return body_of(self._batch(provision_id))

    @extend_schema(operation_id="retry_batch", request=None, responses=answers(batches.Batch, 404, 409))
    def post(self, request: Request, provision_id: uuid.UUID) -> Response:
        try:
            batches.retry(self.student, self._order(provision_id)[0])
        except Refused as refusal:
            raise ApiError(409, "refused", str(refusal)) from refusal
        return body_of(self._batch(provision_id))

    def _order(self, key: uuid.UUID) -> tuple[Provision, Run]:
        mine = Provision.objects.filter(pk=key, student=self.student).select_related("tier", "student")
        if (found := batches.order_of(self.student, mine.first())) is None:
            raise not_found()
        return found

    def _batch(self, key: uuid.UUID) -> batches.Batch:
        return batches.batch(self.student, *self._order(key), now=timezone.now())


class MailboxTest(Endpoint):
    """The tests of a mailbox by a message, as its page says them; a POST has one sent, unless one is on its way."""

    throttle_name = "write"
    permission_classes = [EnrolledOrOwner]

    def get_throttles(self) -> list[Any]:
        """Count looking as such: who waits for a test looks often."""
        if self.request.method == "GET":
            self.throttle_name = "status"
        return super().get_throttles()

    @extend_schema(operation_id="mailbox_test", responses=answers(mail_tests.MailboxTests, 404))
    def get(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        return body_of(mail_tests.mailbox_tests(self._mailbox(mailbox_id), now=clock.vendor_now()))

    @extend_schema(operation_id="test_mailbox", request=None, responses=answers(mail_tests.MailboxTests, 404, 409))
    def post(self, request: Request, mailbox_id: uuid.UUID) -> Response:
        mailbox = self._mailbox(mailbox_id)
        try:
            with rls.acting_as("worker"):
                testing.ask(mailbox=mailbox, actor=self.student.email)
        except Refused as refusal:
            raise ApiError(409, "refused", str(refusal)) from refusal
        return body_of(mail_tests.mailbox_tests(mailbox, now=clock.vendor_now()))

    def _mailbox(self, key: uuid.UUID) -> Mailbox:
        mine = Mailbox.objects.select_related("domain", "provision").filter(student=self.student, pk=key)
        if (found := mine.first()) is None:
            raise not_found()
        return found


class Renewals(Endpoint):
    """What happens to each domain at the end of its paid year; a POST keeps or drops one."""

    throttle_name = "write"
    permission_classes = [EnrolledOrOwner]

    @extend_schema(operation_id="renewals", responses=answers(estate.Renewals, 404))
    def get(self, request: Request) -> Response:
        return body_of(estate.renewals(self.student, _estate(self.student), now=clock.vendor_now()))

    @extend_schema(operation_id="choose", request=ChoiceSerializer, responses=answers(estate.Renewals, 400, 404, 409))
    def post(self, request: Request) -> Response:
        wanted, provision = given(ChoiceSerializer, request), _estate(self.student)
        domain = Domain.objects.filter(provision=provision, name=wanted["domain"]).first()
        if domain is None:
            raise not_found()
        try:
            inventory.choose(provision=provision, domain=domain, choice=wanted["choice"], actor=self.student.email)
        except Refused as refusal:
            raise ApiError(409, "refused", str(refusal)) from refusal
        return body_of(estate.renewals(self.student, provision, now=clock.vendor_now()))


class Leaving(Endpoint):
    """The leaving kit, as the page says it; its files are at the addresses it names."""

    permission_classes = [EnrolledOrOwner]

    @extend_schema(operation_id="leaving", responses=answers(estate.Leaving, 404))
    def get(self, request: Request) -> Response:
        return body_of(estate.leaving(self.student, _estate(self.student), now=clock.vendor_now()))


class Exports(Endpoint):
    """Mailboxes or domains as rows, in the columns of a layout. With passwords only beside the student's own password."""

    throttle_name = "write"
    permission_classes = [EnrolledOrOwner]

    @extend_schema(
        operation_id="export",
        request=ExportSerializer,
        responses={200: OpenApiTypes.OBJECT, **dict.fromkeys((400, 403, 404, 422, 429), ERROR)},
    )
    @method_decorator(sensitive_variables("wanted", "body"))
    def post(self, request: Request) -> Response:
        values, provision = given(ExportSerializer, request), _estate(self.student)
        boxes, domains = exports.mailboxes_of(provision), exports.domains_of(provision)
        keys = [str(one) for one in (*boxes, *domains)]
        form = ExportForm(self.student, keys, {**values, "format": "json"})
        if not form.is_valid():
            fields = {name: [str(error) for error in errors] for name, errors in form.errors.items()}
            raise ApiError(422, "refused", _("This cannot be exported so."), fields=fields)
        wanted = estate_views.Wanted.of(form.cleaned_data)
        body = json.loads(estate_views.content(provision, wanted, boxes, domains))
        if wanted.with_passwords:
            address, count = throttle.client_address(request._request), len(wanted.of_these(boxes))
            estate_views.note_export(provision, self.student, address=address, count=count)
        return Response(body)


def _estate(student: User) -> Provision:
    found = estate.estate_of(student)
    if found is None:
        raise ApiError(404, "nothing_owned", _("Nothing of yours is registered."))
    return found


class Schema(SpectacularAPIView):
    """The OpenAPI document of this API."""

    throttle_classes = [SharedThrottle]
    throttle_name = "status"

    def get_exception_handler(self) -> Any:
        from . import errors

        return errors.handle
