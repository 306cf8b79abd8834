"""Measurements: never part of a test, each in one run side by side with what it is compared to."""
