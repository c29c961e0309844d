"""Django signals that a project may listen to."""

from django.dispatch import Signal

deploy_finished = Signal()
"""A deploy reached a final state. Arguments: ``deploy``."""

service_status_changed = Signal()
"""A validation turned a service from good to bad or back. Arguments: ``service``, ``before``."""
