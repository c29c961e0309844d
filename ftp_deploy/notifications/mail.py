"""Mails: html and text from templates that a project may override, with headers that let programs sort them."""

import smtplib

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.template.loader import render_to_string

from ftp_deploy import links
from ftp_deploy.conf import conf
from ftp_deploy.exceptions import MailServerDown, NotSent
from ftp_deploy.models import Message
from ftp_deploy.models.message import Event
from ftp_deploy.notifications.content import TEMPLATES, context_of, one_line, subject_of

LONGEST_SILENCE = 10.0
"""Seconds to wait for a mail server's reply, unless the project sets ``EMAIL_TIMEOUT``: the mail is tried again."""


def send(message: Message) -> None:
    """Send one mail to one person. Raises ``NotSent``, transient unless the server refuses the recipient for good."""
    mail = compose(message)
    connection = get_connection()
    if isinstance(connection, SMTPBackend) and connection.timeout is None:
        # A silent server would hold the worker for ever, and a worker that was asked to stop for too long.
        connection.timeout = int(min(conf.REPLY_TIMEOUT, LONGEST_SILENCE))
    mail.connection = connection
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        raise _refused(error) from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailServerDown(f"The mail server did not take the mail: {_words(error)}", transient=True) from error


def _refused(error: smtplib.SMTPRecipientsRefused) -> NotSent:
    code, reply = next(iter(error.recipients.values()), (0, b""))
    words = reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
    return NotSent(f"The mail server refused the recipient: {code} {words}", transient=code < 500)


def _words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        reply = error.smtp_error
        return f"{error.smtp_code} {reply.decode(errors='replace') if isinstance(reply, bytes) else reply}"
    return f"{type(error).__name__}: {error}"


def compose(message: Message) -> EmailMultiAlternatives:
    """Return the mail for a message, not yet sent."""
    context = context_of(message)
    name = TEMPLATES[Event(message.event)]
    mail = EmailMultiAlternatives(
        subject=subject_of(message, context),
        body=render_to_string(f"ftp_deploy/email/email_{name}.txt", context),
        from_email=conf.FROM_EMAIL or settings.DEFAULT_FROM_EMAIL,
        to=[message.recipient],
        headers=headers_of(message),
    )
    mail.attach_alternative(render_to_string(f"ftp_deploy/email/email_{name}.html", context), "text/html")
    return mail


def headers_of(message: Message) -> dict[str, str]:
    """Return the headers by which mail programs sort: one list and one thread for each service.

    ``List-Id`` as in RFC 2919, ``Auto-Submitted`` as in RFC 3834, so that no absence notice comes back.
    """
    host = links.host().partition(":")[0]
    thread = f"<service-{message.service_id}@{host}>"
    about = f"deploy-{message.deploy_id}" if message.deploy_id else f"message-{message.pk}"
    return {
        "Message-ID": f"<{about}-{message.event}-{message.key[:12]}@{host}>",
        "In-Reply-To": thread,
        "References": thread,
        "List-Id": f'"{_phrase(str(message.service))}" <service-{message.service_id}.ftp-deploy.{host}>',
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }


def _phrase(text: str) -> str:
    """Return ``text`` as the inside of a quoted string of a header: ASCII, without quotes and backslashes."""
    plain = one_line(text).encode("ascii", "replace").decode()
    return plain.translate({ord('"'): "'", ord("\\"): "/"})[:100]
