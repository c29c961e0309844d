"""The mark beside a commit on its forge: pending, success or failure, with a link to the deploy."""

from ftp_deploy import links
from ftp_deploy.exceptions import ApiError, NotSent
from ftp_deploy.models import Message
from ftp_deploy.models.message import Event
from ftp_deploy.providers.base import CommitState

STATES = {
    Event.STARTED: CommitState.PENDING,
    Event.SUCCESS: CommitState.SUCCESS,
    Event.RECOVERED: CommitState.SUCCESS,
    Event.FAIL: CommitState.FAILURE,
}
WORDS = {
    CommitState.PENDING: "The deploy is on its way.",
    CommitState.SUCCESS: "Live on the server.",
    CommitState.FAILURE: "The deploy failed.",
}


def send(message: Message) -> None:
    """Set the mark. Raises ``NotSent``: for good where the token may not do this."""
    deploy = message.deploy
    if deploy is None:
        raise NotSent("The deploy is gone.")
    if message.event == Event.STARTED and deploy.is_final:
        raise NotSent("The deploy has ended meanwhile.")
    state = STATES[Event(message.event)]
    service = message.service
    try:
        service.forge().set_status(
            service.repository_slug, message.recipient, state, links.deploy_url(deploy), WORDS[state]
        )
    except ApiError as error:
        raise NotSent(error.message, transient=error.transient, advice=error.advice) from error
