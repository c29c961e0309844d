"""The demo: real processes on this machine, one push after the other, each checked by reading the FTP server back."""
