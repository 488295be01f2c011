"""PBFT's messages, and what a decision costs beside the paper's figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from consensus.interface import Decide, DecisionProof, Message, Signed
from consensus.protocols.pbft import Pbft
from consensus.protocols.pbft_messages import (
    COMMIT,
    NULL,
    PREPARE,
    VIEW_CHANGE,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Report,
    ViewChange,
    null_value,
)
from consensus.protocols.pbft_record import Record, parse_record
from ledger import encoding
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.errors import DecodeFault
from ledger.value import Value
from sim.plugin_step import Packet
from sim.plugins import PluginScenario, Script

PAYLOAD = b"p" * 32
VALUE = Value(b"e" * 32, b"", (3, 1), 1, 1_000, (PAYLOAD,))
SIGNATURES = tuple((index, bytes([index]) * 64) for index in (0, 1, 3))
PROOF = Certificate(PREPARE, (3, 1), VALUE.digest, SIGNATURES)
REPORTS = (Report(2, ((3, 1, VALUE.digest),)), Report(1, ()), Report(2, ()))
ASKED = TimeoutCertificate(
    VIEW_CHANGE,
    (2,),
    tuple(
        (index, report.digest, signature)
        for (index, signature), report in zip(SIGNATURES, REPORTS, strict=True)
    ),
)
OPENED = NewView(2, ASKED, REPORTS, (PROOF,))

# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [PrePrepare(VALUE), Prepare(3, 1, VALUE.digest), Prepare(1, 0, NULL), Commit(3, 1, NULL),
     ViewChange(2, 2, (PROOF,)), ViewChange(1, 0, ()), OPENED],
)  # fmt: skip
def test_messages_come_back_equal(message: Message) -> None:
    raw = encoding.encode(message.row())
    row = encoding.decode(raw, message.SHAPE, size_max=len(raw), what="message")

    assert type(message).from_row(row) == message


def test_a_pre_prepare_is_the_primarys_prepare() -> None:
    assert PrePrepare(VALUE).statement() == Prepare(3, 1, VALUE.digest).statement()


def test_a_view_change_states_what_it_proves() -> None:
    stated = ViewChange(2, 2, (PROOF,)).statement()

    assert ViewChange(2, 1, (PROOF,)).statement() != stated
    assert ViewChange(2, 2, ()).statement() != stated
    assert ViewChange(2, 2, (replace(PROOF, slot=(3, 0)),)).statement() != stated
    assert ViewChange(2, 2, (replace(PROOF, signatures=()),)).statement() == stated


@pytest.mark.parametrize(
    "value",
    [replace(VALUE, slot=(3,)), replace(VALUE, slot=(0, 1)), replace(VALUE, payload=()),
     replace(VALUE, extra=b"x"), null_value(b"e" * 32, 3, b"")],
)  # fmt: skip
def test_what_orders_nothing_is_not_assigned(value: Value) -> None:
    with pytest.raises(DecodeFault):
        PrePrepare.from_row((value.raw,))


@pytest.mark.parametrize(
    "change",
    [ViewChange(1, 2, (PROOF,)), ViewChange(2, 3, (PROOF,)), ViewChange(2, 2, (PROOF, PROOF)),
     ViewChange(2, 2, (replace(PROOF, phase=COMMIT),)),
     ViewChange(2, 2, (replace(PROOF, value=b"x"),))],
)  # fmt: skip
def test_a_view_change_that_contradicts_itself_is_refused(change: ViewChange) -> None:
    with pytest.raises(DecodeFault):
        ViewChange.from_row(change.row())


@pytest.mark.parametrize(
    "opened",
    [replace(OPENED, view=3), replace(OPENED, reports=REPORTS[1:]),
     replace(OPENED, reports=(REPORTS[0], REPORTS[2], REPORTS[1])),
     replace(OPENED, proofs=(replace(PROOF, slot=(3, 2)),))],
)  # fmt: skip
def test_a_new_view_with_other_reports_than_signed_is_refused(opened: NewView) -> None:
    with pytest.raises(DecodeFault):
        NewView.from_row(opened.row())


def test_the_record_comes_back_equal() -> None:
    for new_view in (None, Signed(2, OPENED, b"s" * 64)):
        record = Record(new_view, (PROOF,), (VALUE,))
        assert parse_record(record.encode()) == record


# --- what is counted ------------------------------------------------------------------------------


class Counted(Script):
    """A network without faults, in which every message takes 10 ms and is counted."""

    DELAY_MS = 10

    def __init__(self, nodes: int, *crashed: int, **parameters: int) -> None:
        super().__init__(
            PluginScenario(
                Pbft,
                nodes=nodes,
                parameters=tuple(parameters.items()),
                payloads=0,
                payload_max=1,
                delay_us=1_000 * self.DELAY_MS,
                jitter_us=0,
                sync_us=1,
                exchange_ms=0,
            )
        )
        self.sent: Counter[str] = Counter()
        self.signatures: dict[tuple[int, str, tuple[int, ...]], None] = {}
        self.allow = self._count
        self.run_ms(5)
        for seat in crashed:
            self.crash(seat)
        self.live = [seat for seat in range(nodes) if seat not in crashed]
        self.started_ms = self.agenda.now_ms

    def _count(self, sender: int, receiver: int, packet: Packet) -> bool:
        assert isinstance(packet, Signed)
        phase, slot, _ = packet.message.statement()
        self.sent[type(packet.message).__name__] += 1
        self.signatures[packet.sender, phase, slot] = None
        return True

    def decide(self, count: int) -> int:
        """Let so many payloads be decided everywhere; how many message delays that took."""
        for number in range(count):
            self.submit(number.to_bytes(32, "big"))
        seats = [self.seats[seat] for seat in self.live]
        assert self.run_until(lambda: all(seat.durable == count for seat in seats), limit_ms=20_000)
        delays = (self.agenda.now_ms - self.started_ms) // self.DELAY_MS
        self.run_ms(5 * self.DELAY_MS)
        return delays


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("values", [1, 5])
def test_a_decision_costs_what_the_paper_says(n: int, values: int) -> None:
    """OSDI 1999, figure 1: pre-prepare to n - 1, prepares of n - 1 and commits of n to all others;
    three message delays, and as many for values in flight at once."""
    network = Counted(n, spacing_ms=0)

    delays = network.decide(values)

    assert delays == 3
    assert network.sent == {
        "PrePrepare": values * (n - 1),
        "Prepare": values * (n - 1) ** 2,
        "Commit": values * n * (n - 1),
    }
    assert network.sent.total() == values * 2 * n * (n - 1)
    assert len(network.signatures) == values * 2 * n


@pytest.mark.parametrize("n", [4, 7])
def test_a_crashed_backup_costs_no_time(n: int) -> None:
    network = Counted(n, n - 1)

    assert network.decide(1) == 3
    assert network.sent == {
        "PrePrepare": n - 1,
        "Prepare": (n - 2) * (n - 1),
        "Commit": (n - 1) * (n - 1),
    }


@pytest.mark.parametrize("n", [4, 7])
def test_a_change_of_view_costs_one_message_delay_more(n: int) -> None:
    """Section 4.4: view changes of all that live; then the new-view, which the first pre-prepare
    follows at once, and the normal case."""
    timeout_ms = 1_000
    network = Counted(n, 0, retry_ms=5_000, timeout_ms=timeout_ms)

    delays = network.decide(1) - timeout_ms // Counted.DELAY_MS

    assert delays == 1 + 3
    assert network.sent == {
        "ViewChange": (n - 1) ** 2,
        "NewView": n - 1,
        "PrePrepare": n - 1,
        "Prepare": (n - 2) * (n - 1),
        "Commit": (n - 1) * (n - 1),
    }


# --- rules that no schedule shows -----------------------------------------------------------------


def test_values_in_flight_stand_on_one_another() -> None:
    network = Counted(4)

    network.decide(6)

    log = network.seats[0].log
    assert [value.parent for value in log] == [b"", *(value.digest for value in log[:-1])]
    assert [value.slot for value in log] == [(number, 0) for number in range(1, 7)]


def test_while_values_are_in_flight_the_next_ones_fill_up() -> None:
    """Two payloads come at once; the first is assigned at once, the second 20 ms later."""
    assert Counted(4, spacing_ms=20).decide(2) == 2 + 3
    assert Counted(4, spacing_ms=0).decide(2) == 3


def test_a_gap_is_decided_as_null_with_a_proof() -> None:
    """What stands on a replaced value keeps its number and its bytes, and orders nothing."""
    plugin = Counted(4).seats[1].plugin
    assert isinstance(plugin, Pbft)
    epoch, before = plugin.context.epoch, b"b" * 32
    null = null_value(epoch, 3, before)
    void = replace(VALUE, epoch=epoch, parent=b"a" * 32)
    for said, values, holds in (
        (NULL, (), True),
        (void.digest, (void,), True),
        (void.digest, (), False),
        (VALUE.digest, (void,), False),
        (void.digest, (replace(void, parent=before),), False),
    ):
        proof = DecisionProof((Certificate(COMMIT, (3, 1), said, SIGNATURES),), values)
        assert plugin.is_commit(null, proof) is holds
    assert not plugin.is_commit(void, proof)


def test_a_commit_certificate_of_a_void_value_decides_null_everywhere() -> None:
    """B learns the decision from a peer, though it prepared nothing of it."""
    network = Counted(4)
    network.allow = lambda sender, receiver, packet: False
    plugin = network.seats[1].plugin
    assert isinstance(plugin, Pbft)
    epoch = plugin.context.epoch
    void = replace(VALUE, epoch=epoch, slot=(1, 0), parent=b"a" * 32)
    null = null_value(epoch, 1, b"")
    votes = [network.sign(index, Commit(1, 0, void.digest)) for index in (0, 2, 3)]
    proof = tuple((vote.sender, vote.signature) for vote in votes)
    certificate = Certificate(COMMIT, (1, 0), void.digest, proof)

    network.seats[1].hear_decision(Decide((null,), DecisionProof((certificate,), (void,))))
    network.run_ms(20)

    assert [value.digest for value in network.seats[1].log] == [null.digest]
