"""Reading repositories: ``git`` fetches trees and blobs with dulwich, ``lfs`` fetches Git LFS objects with pycurl."""
