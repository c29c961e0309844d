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

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build", "examples/*.rst"]
nitpicky = True
html_theme = "furo"
html_title = f"django-ftp-deploy {version}"
