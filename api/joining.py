"""How the client gets one proof of many operations: in parts from one node, checked and joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from api.asking import Asking
from api.limits import JOINT_TRANSACTIONS_MAX
from ledger.errors import Fault, ProofFault, UnreachableError
from ledger.joint_receipt import (
    Checked,
    JointJudge,
    JointReceipt,
    Proven,
    join,
    parse_joint_receipt,
)

Wanted: TypeAlias = tuple[bytes, Sequence[int]]
"""A transaction's id, and the numbers of its operations."""


async def joint_receipt(
    asking: Asking,
    urls: Sequence[str],
    judge: JointJudge,
    wanted: Sequence[Wanted],
    *,
    height: int,
    progress: Callable[[int], object],
) -> tuple[JointReceipt, tuple[Proven, ...]]:
    """As `LedgerClient.joint_receipt`.  Nodes may hold certificates by different quorums, so that
    all parts come from one of them."""
    wrong: Fault | None = None
    for url in urls:
        try:
            parts = []
            for group in _groups(wanted):
                found = await _part(asking, f"{url}/v1/joint-receipts?height={height}", group)
                if found is not None:
                    parts.append((found, _checked(judge, found, group)))
                progress(len(group))
            if not parts:
                raise Fault("joint.nothing", f"{url} has no proof of any of it")
            shown = [each for _, checked in parts for each in checked.operations]
            return join(parts), tuple(shown)
        except UnreachableError:
            continue
        except Fault as fault:
            wrong = wrong if isinstance(wrong, ProofFault) else fault
    raise wrong or UnreachableError(f"no node answers at {', '.join(urls)}")


async def _part(asking: Asking, url: str, group: Sequence[Wanted]) -> JointReceipt | None:
    """What a node answers, unchecked; None where it can prove nothing of it."""
    packed = [(identity, list(numbers)) for identity, numbers in group]
    answer = await asking.ask("POST", url, packed=packed)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise Fault("api.refused", answer.error())
    return parse_joint_receipt(answer.content)


def _checked(judge: JointJudge, receipt: JointReceipt, group: Sequence[Wanted]) -> Checked:
    checked = judge.check(receipt)
    asked = {(identity, number) for identity, numbers in group for number in numbers}
    if any((each.transaction, each.number) not in asked for each in checked.operations):
        raise ProofFault("joint.other", "the node sent the proof of something else")
    return checked


def _groups(wanted: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
    for start in range(0, len(wanted), JOINT_TRANSACTIONS_MAX):
        yield wanted[start : start + JOINT_TRANSACTIONS_MAX]
