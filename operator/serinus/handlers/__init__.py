"""Kopf: what the watches bring goes into the cache, and nothing else happens here."""
