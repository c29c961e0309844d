"""A push to a git repository goes live on an FTP or SFTP server, safely and fast."""

__version__ = "3.0.0.dev0"
