"""The lineage bundle: one file that proves, offline, every statement of an answer about lineage.

    bundle      "ledger lineage bundle" || 0x00 || (version, question, joint receipt,
                [statement without proof], digest)
    question    (word, [URI of a thing], depth or nil)
    digest      SHA-256 of all bytes of the file before it

The joint receipt (`ledger.joint_receipt`) shows the statements, one provenance operation each.  The
statements without proof are those that belong to the answer and that nobody signed for, ascending;
an honest answer has none.  Every statement is one that the answer rests on, so that a bundle cannot
be padded, and asking the question of them gives the answer again.

What it proves: each statement was put on the ledger, whole and applied, by the holder of a key, and
where.  What it cannot prove: that what was said is true, and that nothing else was said.  The
question is nobody's word: who changes it and the digest has another bundle, whose statements are
just as proven.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from ledger import encoding, joint_receipt
from ledger.applications import provenance
from ledger.applications.provenance import STATEMENT_BYTES_MAX, Statement, parse_statement
from ledger.encoding import encode
from ledger.errors import DecodeFault, ProofFault
from ledger.genesis import Genesis
from ledger.joint_receipt import JOINT_RECEIPT_BYTES_MAX, JointJudge, JointReceipt, Proven
from ledger.light import CertifiedLog
from ledger.lineage import Answer
from ledger.lineage_question import WORDS, Link, Question, links_inside, settle
from ledger.lineage_question import shape as question_shape

VERSION = 1
DOMAIN = b"ledger lineage bundle\x00"
SUFFIX = ".bundle"
"""Name ending of a bundle's file."""
UNPROVEN_MAX = 1_024
BUNDLE_BYTES_MAX = JOINT_RECEIPT_BYTES_MAX
_DIGEST_BYTES = 32
_shape = encoding.row(
    encoding.exactly(VERSION),
    question_shape,
    joint_receipt.shape,
    encoding.array(encoding.blob(STATEMENT_BYTES_MAX), UNPROVEN_MAX),
    encoding.digest,
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A well-formed bundle; nothing in it is checked yet."""

    question: Question
    receipt: JointReceipt
    unproven: tuple[bytes, ...] = ()
    """Bodies of statements without proof, ascending."""

    def encode(self) -> bytes:
        """The one file of this bundle."""
        row = (VERSION, self.question.row(), self.receipt.row(), self.unproven)
        raw = DOMAIN + encode((*row, bytes(_DIGEST_BYTES)))
        body = raw[:-_DIGEST_BYTES]
        return body + hashlib.sha256(body).digest()


class Shown(NamedTuple):
    """A statement of a bundle, and who said it."""

    statement: Statement
    proven: Proven | None
    """Where it is in the ledger; None where nobody signed for it."""


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """What a bundle proves."""

    question: Question
    answer: Answer
    """What its statements say."""
    shown: tuple[Shown, ...]
    """In the order of the ledger, those without proof last."""
    log: CertifiedLog

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Proven or not."""
        return tuple(each.statement for each in self.shown)

    @property
    def unsigned(self) -> tuple[Statement, ...]:
        """Statements that nobody signed for."""
        return tuple(each.statement for each in self.shown if each.proven is None)

    def links(self) -> dict[Link, list[Shown]]:
        """Every link of the answer, and the statements that make it."""
        things = {self.answer.start.uri, *(node.uri for node in self.answer.nodes)}
        found: dict[Link, list[Shown]] = {}
        for each in self.shown:
            for link in links_inside(self.question, things, each.statement):
                found.setdefault(link, []).append(each)
        return found


def is_bundle(raw: bytes) -> bool:
    """Whether a file says that it is a lineage bundle."""
    return raw.startswith(DOMAIN)


def parse_bundle(raw: bytes) -> Bundle:
    """The bundle in this file.  Raises DecodeFault for anything but the one way of writing it."""
    if not is_bundle(raw):
        raise DecodeFault("bundle.malformed", "not a lineage bundle")
    size_max = BUNDLE_BYTES_MAX
    row: Any = encoding.decode(raw[len(DOMAIN) :], _shape, size_max=size_max, what="bundle")
    _, question, receipt, unproven, _ = row
    word, things, depth = question
    if word not in WORDS or len(things) != WORDS[word]:
        raise DecodeFault("bundle.question", "no question that is known")
    if any(one >= other for one, other in pairwise(unproven)):
        raise DecodeFault("bundle.order", "statements without proof are not strictly ascending")
    bundle = Bundle(Question(word, things, depth), joint_receipt.from_row(receipt), unproven)
    if bundle.encode() != raw:
        raise DecodeFault("bundle.digest", "a byte has changed")
    return bundle


class BundleJudge:
    """Judges bundles of one network; keeps nothing but its genesis."""

    def __init__(self, genesis: Genesis) -> None:
        self._joint = JointJudge(genesis)

    def check(self, raw: bytes) -> VerifiedBundle:
        """What this bundle proves.  Raises ProofFault or DecodeFault unless all of it is right.

        A statement without proof is no reason to refuse it, but the result names it.
        """
        bundle = parse_bundle(raw)
        checked = self._joint.check(bundle.receipt)
        shown = [Shown(self.statement(proven), proven) for proven in checked.operations]
        shown += [Shown(parse_statement(body), None) for body in bundle.unproven]
        statements = [each.statement for each in shown]
        self.check_once(statements)
        answer, used = settle(statements, bundle.question)
        self.check_used(used, statements)
        return VerifiedBundle(bundle.question, answer, tuple(shown), checked.log)

    def statement(self, proven: Proven) -> Statement:
        """The statement that an operation makes.  Raises ProofFault where it is another act."""
        if (proven.application, proven.version) != (provenance.NAME, provenance.VERSION):
            raise ProofFault("bundle.application", f"an operation of {proven.application}")
        return parse_statement(proven.body)

    def check_once(self, statements: Sequence[Statement]) -> None:
        """Raise ProofFault where a statement stands twice."""
        if len(set(statements)) != len(statements):
            raise ProofFault("bundle.twice", "a statement stands twice")

    def check_used(self, used: Sequence[Statement], statements: Sequence[Statement]) -> None:
        """Raise ProofFault where the answer does not rest on every statement."""
        if len(used) != len(statements):
            raise ProofFault("bundle.padding", "the answer does not rest on every statement")
