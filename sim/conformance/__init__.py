"""The conformance suite: does a consensus plugin keep the contract, and would anyone notice if not?

    python -m pytest --pyargs sim.conformance --protocol NAME

It is a pytest package, the only part of the project that imports pytest outside of the tests.  What
it checks, with the ids of the rules, is in docs/conformance.md.
"""
