"""How far the regions of a large cloud provider are from one another, in milliseconds one way.

The numbers are half of the round trips that public monitors of AWS publish between these regions
(cloudping.co and others, medians over months), rounded to whole milliseconds.  They are meant to be
like the world, not to be exact: they change by some per cent from month to month, the two
directions are taken to be equal, and two validators in one region are one millisecond apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.errors import UserError

REGIONS = (
    "virginia", "oregon", "saopaulo", "ireland", "frankfurt",
    "capetown", "mumbai", "singapore", "tokyo", "sydney",
)  # fmt: skip
"""us-east-1, us-west-2, sa-east-1, eu-west-1, eu-central-1, af-south-1, ap-south-1,
ap-southeast-1, ap-northeast-1, ap-southeast-2."""
_HOME_MS = 1
_ONE_WAY_MS = (
    (),
    (32,),
    (57, 88),
    (34, 61, 88),
    (46, 72, 102, 12),
    (113, 138, 170, 79, 77),
    (96, 110, 151, 61, 61, 136),
    (110, 82, 163, 88, 80, 162, 29),
    (75, 48, 128, 101, 112, 178, 64, 35),
    (99, 70, 156, 128, 125, 205, 75, 46, 52),
)
"""Row r, column c < r: from REGIONS[r] to REGIONS[c] and back."""


def latency_ms(one: str, other: str) -> int:
    """One way from region to region.  Raises UserError for a region that is not known."""
    low, high = sorted((_index(one), _index(other)))
    return _HOME_MS if low == high else _ONE_WAY_MS[high][low]


def placed(regions: Sequence[str], nodes: int) -> tuple[str, ...]:
    """The region of every node: the listed ones in turn, over and over."""
    return tuple(regions[node % len(regions)] for node in range(nodes))


def _index(region: str) -> int:
    if region not in REGIONS:
        raise UserError(f"unknown region {region}; the regions are {', '.join(REGIONS)}")
    return REGIONS.index(region)
