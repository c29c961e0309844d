"""The WSGI application, for a server of your own choice: ``ftp_deploy.standalone.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ftp_deploy.standalone.settings")

application = get_wsgi_application()
