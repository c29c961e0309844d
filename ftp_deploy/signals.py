"""Signals that a project may listen to. Receivers run in the worker; what they raise is logged and changes nothing.

``deploy_finished``
    sent with ``deploy`` (a ``ftp_deploy.models.Deploy``) once its outcome is stored. ``deploy.state`` is the outcome.

``service_status_changed``
    sent with ``service`` and ``before`` (a value of ``Service.Status``) once a validation found another status than
    the one before, which is now ``service.status``.
"""

from django.dispatch import Signal

deploy_finished = Signal()
service_status_changed = Signal()
