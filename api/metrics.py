"""Prometheus metrics of one node, in the exposition format of the official client library."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from api.view import NodeView

PREFIX = "ledger_"


class _View(Collector):
    def __init__(self, view: NodeView) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        view = self._view
        gauges = {
            "decided_height": ("Height of the last decided block.", view.decided),
            "executed_height": ("Height of the last executed block.", view.executed),
            "certified_height": ("Height of the last confirmed block.", view.certified),
            "pending_transactions": ("Transactions taken here, not yet executed.", view.pending),
            "voting": ("1 where the node votes.", int(view.voting)),
            "catching_up": ("1 while the node catches up.", int(view.catching_up)),
            "connected_peers": (
                "Other validators with a live link.",
                sum(1 for peer in view.peers if peer.connected),
            ),
            "uptime_seconds": ("Seconds since the node started.", view.uptime_s),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(PREFIX + name, text, value=value)
        for name, value in view.counters:
            text = name.removesuffix("_total").replace("_", " ").capitalize() + "."
            yield CounterMetricFamily(PREFIX + name, text, value=value)


def exposition(view: NodeView) -> tuple[bytes, str]:
    """(content, media type) of /metrics."""
    registry = CollectorRegistry()
    registry.register(_View(view))
    return generate_latest(registry), CONTENT_TYPE_LATEST
