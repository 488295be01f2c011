"""Runs suites: real clusters as processes, open-loop load, faults, and what came of it."""
