"""The doors to the rest of the app: what the dashboard asks the core to do.

Views call these and nothing deeper, so that a page never holds more than the words of an action.
"""

from importlib import import_module
from types import ModuleType


def queue() -> ModuleType:
    """Return ``ftp_deploy.deploys.queue``: how deploys come to be."""
    return import_module("ftp_deploy.deploys.queue")


def restoring() -> ModuleType:
    """Return ``ftp_deploy.deploys.restore``: restore, skip, roll back, and their previews."""
    return import_module("ftp_deploy.deploys.restore")


def tasks() -> ModuleType:
    """Return ``ftp_deploy.tasks``."""
    return import_module("ftp_deploy.tasks")
