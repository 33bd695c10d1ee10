"""Errors of the API: always `{"error": {"code", "sentence", ...}}`, whatever was sent."""

from __future__ import annotations

import math
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from infra.presenters_base import span


class ApiError(Exception):
    """A refusal: the status, a code for programs, a sentence for people, and more members of the error if there are."""

    def __init__(self, status: int, code: str, sentence: str, *, retry_after: int | None = None, **more: Any) -> None:
        self.status = status
        self.code = code
        self.sentence = sentence
        self.retry_after = retry_after
        self.more = more
        super().__init__(sentence)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an error; None for one that is ours to mend."""
    found = _as_api_error(error)
    if found is None:
        return None
    set_rollback()
    body = {"code": found.code, "sentence": found.sentence, **found.more}
    response = Response({"error": body}, status=found.status)
    if found.retry_after is not None:
        body["retry_after_seconds"] = found.retry_after
        response["Retry-After"] = str(found.retry_after)
    if isinstance(error, exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def _as_api_error(error: Exception) -> ApiError | None:
    match error:
        case ApiError():
            return error
        case exceptions.Throttled():
            return throttled(math.ceil(getattr(error, "wait", None) or 1))
        case exceptions.ValidationError():
            return _invalid(error)
        case exceptions.ParseError():
            return ApiError(400, "malformed", _("The body is not JSON as it should be."))
        case exceptions.UnsupportedMediaType():
            return ApiError(415, "media_type", _("Send JSON, with the content type application/json."))
        case exceptions.MethodNotAllowed():
            return ApiError(405, "method", _("This address does not take such a request."))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return ApiError(403, "sign_in", _("Please sign in."))
        case exceptions.PermissionDenied() if str(error.detail).startswith("CSRF"):
            return ApiError(403, "csrf", _("The request carries no valid CSRF token. Load the page anew."))
        case exceptions.PermissionDenied() | PermissionDenied():
            return ApiError(403, "forbidden", _("You may not do this."))
        case exceptions.NotFound() | Http404():
            return not_found()
        case RequestDataTooBig():
            return too_large()
        case SuspiciousOperation() | BadRequest() | MultiPartParserError():
            return ApiError(400, "malformed", _("The request cannot be read."))
        case exceptions.APIException():
            return ApiError(error.status_code, str(error.default_code), str(error.detail))
    return None


def not_found() -> ApiError:
    """Nothing is there, or nothing of yours: which of the two is not said."""
    return ApiError(404, "not_found", _("There is nothing at this address."))


def too_large() -> ApiError:
    return ApiError(413, "too_large", _("The body is larger than anything that is needed here."))


def throttled(seconds: int) -> ApiError:
    """Too many requests; says when to go on."""
    sentence = _("You have sent more requests than one person may in an hour. You can go on in %(span)s.")
    return ApiError(429, "throttled", sentence % {"span": span(seconds)}, retry_after=seconds)


def _invalid(error: exceptions.ValidationError) -> ApiError:
    detail: Any = error.detail
    fields = detail if isinstance(detail, dict) else {"non_field_errors": detail}
    return ApiError(400, "invalid", _("Something in the body is not as it should be."), fields=fields)
