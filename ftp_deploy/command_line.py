"""How people call what the app does from a terminal: in a Django project, and in the stand-alone mode."""

from django.apps import apps

STANDALONE = "ftp_deploy.standalone"


def command(words: str) -> str:
    """Return the whole line for one of the app's commands, such as ``verify 3``."""
    program = "ftp-deploy" if apps.is_installed(STANDALONE) else "manage.py ftp_deploy"
    return f"{program} {words}"


def worker_command() -> str:
    """Return the line that starts a worker with the clock for periodic work."""
    return "ftp-deploy worker" if apps.is_installed(STANDALONE) else "celery -A ftp_deploy worker -B"
