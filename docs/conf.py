"""How the documentation is built: ``fab docs``."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_extensions")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import ftp_deploy  # noqa: E402

project = "django-ftp-deploy"
author = "the django-ftp-deploy contributors"
copyright = author
version = release = ftp_deploy.__version__

extensions = ["reference"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"django-ftp-deploy {version}"
html_static_path = ["_static"]
html_theme_options = {"source_view_link": "", "navigation_with_keys": True}
html_show_sourcelink = False
