"""The report of a run: tables, plots, words, one page."""
