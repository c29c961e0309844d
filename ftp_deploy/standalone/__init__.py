"""A ready Django project around the app, and the ``ftp-deploy`` command."""
