"""``python -m ftp_deploy.standalone`` is ``ftp-deploy``."""

import sys

from ftp_deploy.standalone.cli import main

sys.exit(main())
