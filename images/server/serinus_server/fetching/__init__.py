"""Fetches one model: finds what its address means, downloads it once, verifies it, and keeps it for the next start.

`fetch` is all that others need. Nothing here imports MLflow unless files must really be downloaded.
"""

from serinus_server.fetching.settings import Settings
from serinus_server.fetching.work import Fetched, fetch

__all__ = ["Fetched", "Settings", "fetch"]
