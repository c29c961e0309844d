"""Signals that a project may listen to. Receivers run in the worker; what they raise is logged and changes nothing.

``deploy_finished``
    sent with ``deploy`` (a ``ftp_deploy.models.Deploy``) once its outcome is stored. ``deploy.state`` is the outcome.

``service_status_changed``
    sent with ``service``, ``before`` and ``after`` (values of ``Service.Status``) once a validation found another
    status than the one before.
"""

from django.dispatch import Signal

deploy_finished = Signal()
service_status_changed = Signal()
