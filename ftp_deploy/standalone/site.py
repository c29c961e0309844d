"""The settings that only the stand-alone project knows, read live and typed as in ``ftp_deploy.conf``."""

from pathlib import Path

from ftp_deploy.conf import Setting


class Site:
    """Each attribute is documented by its own ``help_text``; the reference pages are made from them."""

    DATA_FOLDER: Setting[Path] = Setting("DATA_FOLDER", Path(), "The folder that holds everything the site keeps.")
    BASE_URL: Setting[str] = Setting(
        "BASE_URL", "", "The site's public address, such as ``https://deploy.example.com``."
    )
    HTTPS: Setting[bool] = Setting("HTTPS", False, "Whether the public address begins with https.")
    TRUSTED_PROXY: Setting[str] = Setting(
        "TRUSTED_PROXY", "", "The address of the proxy in front, whose X-Forwarded headers count; ``*`` for any."
    )
    CONTENT_SECURITY_POLICY: Setting[str] = Setting(
        "CONTENT_SECURITY_POLICY", "", "Another Content-Security-Policy than ours."
    )
    UNKNOWN_NAMES: Setting[list[str]] = Setting(
        "UNKNOWN_NAMES", [], "Names in the settings file that nothing reads: most likely misspelt."
    )
    METRICS_TOKEN: Setting[str] = Setting("METRICS_TOKEN", "", "The bearer token that opens ``/metrics``.")


site = Site()
