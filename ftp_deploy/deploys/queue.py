"""How deploys come to be: a push is recorded once and in order; people ask for further ones.

A push that plainly follows the newest one is appended by one statement (``append``). Everything else locks the
service's row by a write, stores the deploy, and wakes a worker after the commit. The two meet at ``Deploy.turn``, which
is unique within a service: what was looked at under the lock still holds when the row is stored, or it is looked at
again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, router, transaction
from django.db.models import F, Max, Min, QuerySet
from django.utils import timezone

from ftp_deploy.deploys import tallies
from ftp_deploy.deploys.append import append, commit_as_json
from ftp_deploy.deploys.one_writer import one_writer
from ftp_deploy.deploys.wakeup import wake_on_commit
from ftp_deploy.exceptions import ConfigurationError
from ftp_deploy.models import Deploy, Service
from ftp_deploy.providers.base import PushEvent

TURN_TRIES = 20
"""Each try loses only to a push that was stored meanwhile."""
User = Any
"""A row of the project's user model, or None for the machinery itself."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a push: its row, whether the row is new, and a reason where it is not."""

    deploy: Deploy
    created: bool
    reason: str = ""


def lock(service_id: int) -> int:
    """Hold the service's row until the transaction ends; return the turn of the next row of this service.

    A write, so that it works on every database.
    """
    Service.objects.filter(pk=service_id).update(branch=F("branch"))
    last: int | None = Deploy.objects.filter(service=service_id).aggregate(last=Max("turn"))["last"]
    return (last or 0) + 1


def in_turn(service_id: int, store: Callable[[int], Deploy]) -> Deploy:
    """Lock the service and let ``store`` look at its line and store one row under the turn that it is given.

    A push that came to the line meanwhile, without the lock, has taken the turn; then all of it is done again.
    """
    for _try in range(TURN_TRIES - 1):
        try:
            with one_writer(router.db_for_write(Deploy)), transaction.atomic():
                return store(lock(service_id))
        except IntegrityError:
            continue  # A service that is gone fails the last time as well.
    with one_writer(router.db_for_write(Deploy)), transaction.atomic():
        return store(lock(service_id))


def record_push(service: Service, delivery_id: str, event: PushEvent) -> Recorded:
    """Store a push once, in its place, and wake a worker; a duplicate only wakes."""
    appended = append(service, delivery_id, event)
    if appended:
        wake_on_commit(service)
        return Recorded(appended, created=True)
    duplicates: list[Deploy] = []

    def store(turn: int) -> Deploy:
        newest = newest_push(service)
        duplicate = _find_duplicate(service, delivery_id, event, newest)
        duplicates[:] = [duplicate] if duplicate else []
        return duplicate or _store_push(service, delivery_id, event, newest, turn)

    deploy = in_turn(service.pk, store)
    wake_on_commit(service)
    return Recorded(deploy, created=not duplicates, reason="duplicate" if duplicates else "")


def newest_push(service: Service) -> Deploy | None:
    """Return the last push of the service, in push order."""
    return service.deploys.filter(kind=Deploy.Kind.PUSH).order_by("-position", "-pk").first()


def _find_duplicate(service: Service, delivery_id: str, event: PushEvent, newest: Deploy | None) -> Deploy | None:
    """Return the row of the same delivery, or the newest push where it moved the branch in the same way.

    An older push of the same move is no proof: the branch may have gone back and forth, with a hook lost in between.
    """
    if newest and (newest.branch, newest.before, newest.after) == (event.branch, event.before, event.after):
        return newest
    return service.deploys.filter(delivery_id=delivery_id, branch=event.branch).first() if delivery_id else None


def _store_push(service: Service, delivery_id: str, event: PushEvent, newest: Deploy | None, turn: int) -> Deploy:
    follows = newest is None or (newest.after == event.before and is_in_order(newest))
    deploy = Deploy(
        service=service,
        kind=Deploy.Kind.PUSH,
        provider=service.provider,
        branch=event.branch,
        before=event.before,
        after=event.after,
        delivery_id=delivery_id,
        forced=event.forced,
        commits=[commit_as_json(commit) for commit in event.commits],
        commits_complete=event.complete,
        user_name=event.user_name,
        user_email=event.user_email,
        compare_url=event.compare_url,
        position=_last_position(service) + 1,
        turn=turn,
        order_unknown=not follows,
        steps={Deploy.Phase.RECEIVED: timezone.now().isoformat()},
    )
    if not follows:
        _place_late_push(service, deploy)
    elif service.deploys.filter(state=Deploy.State.QUEUED, order_unknown=True).exists():
        _place_before_follower(service, deploy)
    deploy.save()
    return deploy


def is_in_order(newest: Deploy) -> bool:
    """Say whether the last push of the line is known to be the branch's newest at its time.

    One that came late may be older than what is live; what follows it may then be older as well. The branch's head
    decides in both cases.
    """
    return not newest.order_unknown or newest.commit == newest.after


def _place_late_push(service: Service, deploy: Deploy) -> None:
    """Put a push that another one is known to follow before that one.

    If that one is live already, the push came late, or the branch went back: the head of the branch will tell. It is
    put before all others, so that the newest push stays the newest.
    """
    if _place_before_follower(service, deploy) or not _followers(service, deploy).exists():
        return
    first: float = service.deploys.aggregate(first=Min("position"))["first"]
    deploy.position = first - 1


def _followers(service: Service, deploy: Deploy) -> QuerySet[Deploy]:
    return service.deploys.filter(kind=Deploy.Kind.PUSH, before=deploy.after).exclude(before="")


def _place_before_follower(service: Service, deploy: Deploy) -> bool:
    """Put a push before the waiting one that begins where it ends; return whether there is one.

    Where the same move waits already, this is a replay or a branch that came back: its place is not known.
    """
    waiting = service.deploys.filter(kind=Deploy.Kind.PUSH, state=Deploy.State.QUEUED)
    follower = waiting.filter(before=deploy.after).exclude(before="").first()
    if follower is None or waiting.filter(before=deploy.before, after=deploy.after).exists():
        return False
    deploy.order_unknown = False
    deploy.position = _position_before(follower)
    _pull_predecessors(service, deploy)
    return True


def _position_before(deploy: Deploy) -> float:
    """Return a free position just before a deploy's."""
    line = Deploy.objects.filter(service=deploy.service_id, position__lt=deploy.position)
    earlier: float | None = line.aggregate(last=Max("position"))["last"]
    return (deploy.position + (deploy.position - 2 if earlier is None else earlier)) / 2


def _pull_predecessors(service: Service, deploy: Deploy) -> None:
    """Move waiting pushes that a late push proves to be even earlier before it, back along the chain."""
    pushes = service.deploys.filter(kind=Deploy.Kind.PUSH, state=Deploy.State.QUEUED)
    later = deploy
    while predecessor := pushes.filter(after=later.before, position__gt=later.position).first():
        predecessor.position = _position_before(later)
        predecessor.order_unknown = False
        predecessor.save(update_fields=["position", "order_unknown"])
        later = predecessor


def _last_position(service: Service) -> float:
    last: float | None = service.deploys.aggregate(last=Max("position"))["last"]
    return last or 0.0


def deploy_now(service: Service, user: User = None, *, full: bool = False) -> Deploy:
    """Deploy the branch as it stands; ``full`` uploads every file again."""
    return add(service, Deploy.Kind.FULL if full else Deploy.Kind.MANUAL, user)


def add(service: Service, kind: str, user: User = None, **values: Any) -> Deploy:
    """Store a deploy that a person asked for and wake a worker.

    Raises ``ConfigurationError`` for a service that is turned off.
    """
    return add_in_turn(service, kind, user, lambda: values)


def add_in_turn(service: Service, kind: str, user: User, look: Callable[[], dict[str, Any]]) -> Deploy:
    """Do what ``add`` does, with values that ``look`` reads from the line; no push comes in between unseen."""
    if not service.enabled:
        raise ConfigurationError(f"{service} is turned off.", advice="Turn the service on first.")

    def store(turn: int) -> Deploy:
        return Deploy.objects.create(
            service=service,
            kind=kind,
            provider=service.provider,
            branch=service.branch,
            turn=turn,
            requested_by=user,
            user_name=user.get_username() if user else "",
            user_email=getattr(user, "email", "") or "",
            steps={Deploy.Phase.RECEIVED: timezone.now().isoformat()},
            **look(),
            position=_last_position(service) + 1,
        )

    deploy = in_turn(service.pk, store)
    wake_on_commit(service)
    return deploy


def retry(deploy: Deploy, user: User = None) -> Deploy:
    """Deploy again what a failed or cancelled deploy was to put live, or the newest push since."""
    if deploy.state not in (Deploy.State.FAILED, Deploy.State.CANCELLED):
        raise ConfigurationError(f"{deploy} has not failed, so there is nothing to try again.")
    return add_in_turn(deploy.service, _kind_of_retry(deploy), user, lambda: _carried(deploy))


def _kind_of_retry(deploy: Deploy) -> str:
    return Deploy.Kind.MANUAL if deploy.kind == Deploy.Kind.PUSH else deploy.kind


def commit_since(service: Service, deploy: Deploy) -> str:
    """Return the commit of the newest push from ``deploy`` on: what failed earlier is part of it.

    Deploying the older commit would put a later push back. Call it from what ``add_in_turn`` calls.
    """
    pushes = service.deploys.filter(kind=Deploy.Kind.PUSH, position__gt=deploy.position)
    newest = pushes.exclude(state__in=[Deploy.State.SUPERSEDED, Deploy.State.CANCELLED]).order_by("-position").first()
    return newest.after if newest and deploy.kind != Deploy.Kind.ROLLBACK else deploy.after


def _carried(deploy: Deploy) -> dict[str, Any]:
    return {
        "before": deploy.before,
        "after": commit_since(deploy.service, deploy),
        "commits": deploy.commits,
        "commits_complete": deploy.commits_complete,
        "compare_url": deploy.compare_url,
    }


def confirm_deletes(deploy: Deploy, user: User = None) -> Deploy:
    """Go on with a deploy that stopped at the delete limit."""
    if deploy.state != Deploy.State.FAILED or deploy.error_kind != "TooManyDeletes":
        raise ConfigurationError(f"{deploy} did not stop at the delete limit.")

    def look() -> dict[str, Any]:
        return {"confirmed_deletes": True, **_carried(deploy)}

    return add_in_turn(deploy.service, _kind_of_retry(deploy), user, look)


def cancel(deploy: Deploy, user: User = None) -> None:
    """Stop a waiting deploy now, a running one before its switch.

    A deploy that is part of a run cancels the run. Raises ``ConfigurationError`` where it is too late.
    """
    with transaction.atomic():
        lock(deploy.service_id)
        _cancel(deploy, user)


def _cancel(deploy: Deploy, user: User) -> None:
    deploy = deploy.run if deploy.run and deploy.state == Deploy.State.RUNNING else deploy
    queued = Deploy.objects.filter(pk=deploy.pk, state=Deploy.State.QUEUED)
    tallies.count(deploy.service_id, queued, Deploy.State.CANCELLED)
    waiting = queued.update(state=Deploy.State.CANCELLED, finished_at=timezone.now(), error=_cancelled_by(user))
    if waiting:
        return
    running = Deploy.objects.filter(pk=deploy.pk, state=Deploy.State.RUNNING).exclude(
        phase__in=[Deploy.Phase.SWITCHING, Deploy.Phase.CHECKING, Deploy.Phase.FINISHING]
    )
    if not running.update(cancel_requested=True, error=_cancelled_by(user)):
        raise ConfigurationError(f"{deploy} can no longer be cancelled.", advice="Roll back instead.")


def _cancelled_by(user: User) -> str:
    return f"Cancelled by {user.get_username()}." if user else "Cancelled."
