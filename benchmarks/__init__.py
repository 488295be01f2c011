"""Measures, imported by nothing."""
