"""What every address of the API has in common: who may ask, how often, and what a body may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from infra import throttle
from infra.dashboard.presenters import may_order
from infra.models import Provision, User

from . import errors

MOST_BYTES = 64_000


class EnrolledStudent(BasePermission):
    """Enrolled students only. `keeps_what_was_bought` lets those in whose enrolment ended after they had ordered."""

    keeps_what_was_bought = False

    def has_permission(self, request: Request, view: APIView) -> bool:
        person = request.user
        if not isinstance(person, User):
            raise exceptions.NotAuthenticated
        if may_order(person) or (self.keeps_what_was_bought and Provision.objects.filter(student=person).exists()):
            return True
        raise errors.ApiError(
            403, "not_enrolled", _("Your account is not enrolled for GTM Infrastructure. Please ask your bootcamp.")
        )


class EnrolledOrOwner(EnrolledStudent):
    """Enrolled students, and former ones who have ordered something."""

    keeps_what_was_bought = True


class SharedThrottle(BaseThrottle):
    """Counts a request of the view's class (`throttle_name`) in the table that all processes share."""

    verdict = throttle.ALLOWED

    def allow_request(self, request: Request, view: Any) -> bool:
        self.verdict = throttle.allow_request(view.throttle_name, _with_user(request))
        return self.verdict.allowed

    def wait(self) -> float:
        return float(self.verdict.retry_after_seconds)


def _with_user(request: Request) -> HttpRequest:
    # The framework has put the person it authenticated, or nobody, onto Django's request as well.
    return request._request


class StrictJSONParser(JSONParser):
    """JSON in UTF-8, of a sensible size and depth."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        body = stream.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise errors.too_large()
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise exceptions.ParseError from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class OnlyJSON(BaseContentNegotiation):
    """Answer JSON, whatever the client would rather have."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Endpoint(APIView):
    """Base of the API's views."""

    throttle_name = "status"
    permission_classes = [EnrolledStudent]
    throttle_classes = [SharedThrottle]
    parser_classes = [StrictJSONParser]
    content_negotiation_class = OnlyJSON
    format_kwarg = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Judge the request in this order: its size, who asks, how often, whether they may."""
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        request.version = request.versioning_scheme = None
        if _size(request) > MOST_BYTES:
            raise errors.too_large()
        self.perform_authentication(request)
        self.check_throttles(request)
        self.check_permissions(request)

    def get_exception_handler(self) -> Any:
        return errors.handle

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let nobody in between keep what belongs to one student."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.setdefault("Cache-Control", "private, no-store")
        return answer

    @property
    def student(self) -> User:
        person = self.request.user
        assert isinstance(person, User)
        return person


def _size(request: Request) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


class Missing(Endpoint):
    """Any other address."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes: list[Any] = []

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer whatever the method is."""
        self.args, self.kwargs, self.headers = args, kwargs, {}
        self.request = self.initialize_request(request, *args, **kwargs)
        self.request.accepted_renderer, self.request.accepted_media_type = self.perform_content_negotiation(
            self.request
        )
        answer = errors.handle(errors.not_found(), {"view": self})
        return self.finalize_response(self.request, answer or Response(status=404))
