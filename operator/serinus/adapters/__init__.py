"""Adapters: the ports, implemented with real clients and real servers."""
