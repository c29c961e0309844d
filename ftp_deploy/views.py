"""The push webhook and the deploy status: the only pages that strangers may call.

A webhook goes body -> service -> signature -> payload -> one stored ``Deploy`` per pushed branch. The provider is the
service's own setting, never guessed from the request. Nothing that a stranger sends may lead to a 500.
"""

import hashlib
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NoReturn

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.http import quote_etag
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from ftp_deploy import door
from ftp_deploy.conf import conf
from ftp_deploy.deploys import queue
from ftp_deploy.exceptions import ConfigurationError, EncryptionKeyError, PayloadUnreadable, SignatureRefused
from ftp_deploy.models import Service
from ftp_deploy.providers import open_provider
from ftp_deploy.providers.base import Account, Delivery, PushEvent, WebhookRequest
from ftp_deploy.status import status_of

logger = logging.getLogger(__name__)

RETRY_SECONDS = "60"
NOBODY = Account()
"""Reading a hook needs no login on the forge, so none is decrypted."""


class Refused(Exception):
    """The request ends here, with this status and sentence."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


UNKNOWN = (HTTPStatus.NOT_FOUND, "There is no such hook.")
"""Status and sentence. Never one exception for all: it would keep the body of every request that it ended."""


@csrf_exempt
@login_not_required
@require_http_methods(["POST"])
def deploy(request: HttpRequest, secret_key: str) -> HttpResponseBase:
    """Take a webhook of a forge.

    202 with the ids of the stored deploys; 200 with a reason where there is nothing to deploy; 400 unreadable; 403 not
    signed with the service's hook secret; 404 unknown key; 405 not a POST; 413 too large; 429 too many; 503 the push
    could not be stored.
    """
    try:
        return receive(request, secret_key)
    except Refused as refusal:
        return answer(refusal.status, refusal.detail)


def receive(request: HttpRequest, secret_key: str) -> HttpResponse:
    """Read, check and store one webhook. Raises ``Refused``."""
    body = read(request)
    try:
        service = door.find_service(secret_key)
        if service is None or not door.may_knock(request, service):
            refuse_unknown(request, body)
        delivery = authentic_delivery(service, request, body)
        if not service.enabled:
            return answer(HTTPStatus.OK, "This service is paused.")
        return store(service, delivery)
    except (DatabaseError, EncryptionKeyError, ConfigurationError) as error:
        logger.exception("A webhook could not be stored.")
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The push could not be stored; send it again.") from error


def refuse_unknown(request: HttpRequest, body: bytes) -> NoReturn:
    """Refuse an unknown key, after all the work that a known one with a bad signature costs."""
    with suppress(Refused):
        authentic_delivery(door.decoy(), request, body)
    raise Refused(*UNKNOWN)


def read(request: HttpRequest) -> bytes:
    """Return the body. Raises ``Refused`` for one too large or cut."""
    try:
        return door.read_body(request)
    except door.BodyTooLarge as error:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.") from error
    except door.BodyUnreadable as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "The body ended early.") from error


@sensitive_variables()
def authentic_delivery(service: Service, request: HttpRequest, body: bytes) -> Delivery:
    """Check the signature and the rate, and read the payload. Raises ``Refused``."""
    forge = open_provider(service.provider, NOBODY, conf.PROVIDERS)
    hook = WebhookRequest(door.headers_of(request), body, (request.content_type or "").lower())
    try:
        if service.signature_required:
            forge.verify(hook, service.hook_secret)
    except SignatureRefused as error:
        logger.warning("A webhook for service %s was refused: %s", service.pk, error)
        limit(service, "refused")
        raise Refused(HTTPStatus.FORBIDDEN, "The signature is missing or wrong.") from error
    limit(service, "authentic")
    try:
        return forge.parse(hook)
    except PayloadUnreadable as error:
        logger.warning("A webhook for service %s could not be read: %s", service.pk, error)
        raise Refused(HTTPStatus.BAD_REQUEST, error.message) from error


def limit(service: Service, outcome: str) -> None:
    """Count the request. Raises ``Refused`` where there were too many."""
    if door.over_limit(service.pk, outcome):
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests; try again in a minute.")


def store(service: Service, delivery: Delivery) -> HttpResponse:
    """Store a deploy for each push to the service's branch, and say what was stored or why nothing was."""
    push = merged(push for push in delivery.pushes if push.branch == service.branch)
    if push is None:
        others = ", ".join(other.branch for other in delivery.pushes)[:500]
        reason = delivery.reason or f"Only the branch {service.branch} is deployed, not {others}."
        return answer(HTTPStatus.OK, reason)
    recorded = queue.record_push(service, delivery.delivery_id, push)
    if not recorded.created:
        return answer(HTTPStatus.OK, recorded.reason, deploy=recorded.deploy.pk)
    return answer(HTTPStatus.ACCEPTED, "The push is stored.", deploy=recorded.deploy.pk)


def merged(pushes: Iterable[PushEvent]) -> PushEvent | None:
    """Join several moves of one branch in one delivery into one; None where there is none."""
    whole: PushEvent | None = None
    for push in pushes:
        whole = replace(push, before=whole.before, commits=whole.commits + push.commits) if whole else push
    return whole


def answer(status: HTTPStatus, detail: str, **further: Any) -> JsonResponse:
    """Return the JSON that every caller of the door gets, in one shape."""
    response = JsonResponse({"detail": detail, **further}, status=status)
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        response["Retry-After"] = RETRY_SECONDS
    patch_cache_control(response, no_store=True)
    return response


@login_not_required
@require_safe
def deploy_status(request: HttpRequest, secret_key: str) -> HttpResponseBase:
    """Return the progress of a service as JSON, for whoever knows its key; see ``status.status_of``."""
    try:
        service = door.find_service(secret_key)
        if service is None:
            return answer(*UNKNOWN)
        response = JsonResponse(status_of(service))
    except DatabaseError:
        logger.exception("The status of a service could not be read.")
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, "The status could not be read; ask again.")
    return conditional(request, response)


def conditional(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    """Give a response its ``ETag``, and answer 304 to a reader that has it already."""
    etag = quote_etag(hashlib.sha256(response.content).hexdigest()[:32])
    response["ETag"] = etag
    patch_cache_control(response, private=True, no_cache=True)
    return get_conditional_response(request, etag=etag, response=response) or response
