"""What a checked bundle says, for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from host.bundle_data import Comparison
from host.importers.prov_document import to_provn_line
from ledger.bundle import Shown, VerifiedBundle
from ledger.genesis import Genesis
from ledger.lineage_question import BETWEEN, HISTORY, WHO, Link

NOT_SHOWN = (
    "that a statement is true, and that nothing else was said: a proof shows what is in the "
    "ledger, not that nothing is missing"
)
MEMBER = "urn:x-member:"
"""A thing with this URI and a public key after it is the holder of the key."""
SHOWN_MAX = 20
"""Links, statements and files told one by one to a person."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A bundle that was checked, and the files beside it."""

    verified: VerifiedBundle
    genesis: Genesis
    data: Comparison | None

    @property
    def faults(self) -> list[str]:
        """Why this is not whole; empty where everything is proven and unchanged."""
        found = []
        if self.verified.unsigned:
            found.append("bundle.unsigned")
        if self.data is not None and self.data.changed:
            found.append("bundle.data-changed")
        if self.data is not None and not self.data.same:
            found.append("bundle.data-unknown")
        return found

    def signer(self, sender: bytes) -> str:
        """A member's name, or the key where the genesis has none."""
        names = {each.public_key: each.name for each in self.genesis.members}
        return names.get(sender, f"no member, key {sender.hex()}")


def bundle_facts(judged: Judged) -> dict[str, Any]:
    """Everything, for programs."""
    verified = judged.verified
    faults = judged.faults
    proven = [each.proven for each in verified.shown if each.proven is not None]
    blocks = [each.height for each in proven]
    facts: dict[str, Any] = {
        "valid": not faults,
        "reasons": faults,
        "question": question_text(verified),
        "start": verified.answer.start.name,
        "nodes": [node.name for node in verified.answer.nodes],
        "statements": len(verified.shown),
        "transactions": len({each.transaction for each in proven}),
        "blocks": [min(blocks), max(blocks)],
        "signers": dict(Counter(judged.signer(each.sender) for each in proven)),
        "agents": [{"agent": name, "signed": word} for name, word in _agents(judged)],
        "links": [_link_facts(judged, *each) for each in verified.links().items()],
        "unsigned": [to_provn_line(each) for each in verified.unsigned],
        "log_size": verified.log.head.size,
        "signed_by": f"{len(verified.log.signers)} of {verified.log.epoch.validators.size} "
        "validators",
        "rests_on": verified.log.fault_model,
        "not_shown": NOT_SHOWN,
    }
    if judged.data is not None:
        facts["data"] = _data_facts(judged.data)
    return facts


def question_text(verified: VerifiedBundle) -> str:
    """The question as the command that asks it."""
    question = verified.question
    names = {node.uri: node.name for node in (verified.answer.start, *verified.answer.nodes)}
    things = " ".join(names.get(uri, uri) for uri in question.things)
    if question.word in (BETWEEN, HISTORY, WHO):
        return f"{question.word} {things}"
    depth = f" --depth {question.depth}" if question.depth else ""
    return f"trace {things} --{question.word}{depth}"


def _agents(judged: Judged) -> Iterator[tuple[str, str]]:
    """Of each agent in the answer, whether it signed anything itself: "yes", "no", "unknown"."""
    senders = {each.proven.sender for each in judged.verified.shown if each.proven is not None}
    for node in (judged.verified.answer.start, *judged.verified.answer.nodes):
        if node.kind != "agent":
            continue
        key = node.uri.removeprefix(MEMBER)
        if key == node.uri:
            yield node.name, "unknown"
        else:
            yield node.name, "yes" if any(each.hex() == key for each in senders) else "no"


def _link_facts(judged: Judged, link: Link, shown: list[Shown]) -> dict[str, Any]:
    answer = judged.verified.answer
    names = {node.uri: node.name for node in (answer.start, *answer.nodes)}
    proven = [each.proven for each in shown if each.proven is not None]
    return {
        "from": names[link.effect],
        "kind": link.kind,
        "to": names[link.cause],
        "holds": bool(proven),
        "signed_by": sorted({judged.signer(each.sender) for each in proven}),
        "blocks": sorted({each.height for each in proven}),
    }


def _data_facts(data: Comparison) -> dict[str, Any]:
    return {
        "same": [{"file": file, "sha256": each.digest} for file, each in data.same],
        "changed": [
            {"file": file, "sha256": each.digest, "things": list(each.things)}
            for file, each in data.changed
        ],
        "absent": [
            {"sha256": each.digest, "things": list(each.things), "paths": list(each.paths)}
            for each in data.absent
        ],
        "unnamed": list(data.unnamed),
    }


# --- for people -----------------------------------------------------------------------------------


def show_bundle(judged: Judged) -> None:
    """Print it."""
    facts = bundle_facts(judged)
    links = facts["links"]
    held = sum(link["holds"] for link in links)
    low, high = facts["blocks"]
    click.echo("valid bundle" if facts["valid"] else "not whole")
    _say("question", facts["question"])
    _say("answer", f"{len(facts['nodes'])} things beside {facts['start']}")
    _say("links", f"{held} of {len(links)} hold")
    signed = facts["statements"] - len(facts["unsigned"])
    of = f"{signed} of {facts['statements']} signed for"
    _say("statements", f"{of}, in {facts['transactions']} transactions of blocks {low} to {high}")
    for name, count in sorted(facts["signers"].items(), key=lambda pair: -pair[1])[:SHOWN_MAX]:
        _say("signer", f"{name}: {count}")
    for agent in facts["agents"][:SHOWN_MAX]:
        _say("agent", f"{agent['agent']}: {_AGENT_WORDS[agent['signed']]}")
    _say("log", f"{facts['log_size']} leaves, signed by {facts['signed_by']}")
    _say("rests on", facts["rests_on"])
    _several("nobody signed for", facts["unsigned"])
    broken = [link for link in links if not link["holds"]]
    _several("does not hold", [f"{each['from']} {each['kind']} {each['to']}" for each in broken])
    if judged.data is not None:
        _show_data(judged.data)
    _say("not shown", NOT_SHOWN)


_AGENT_WORDS = {
    "yes": "signed statements here itself",
    "no": "named by others, signed nothing here",
    "unknown": "named; which key is its own is not known",
}


def _show_data(data: Comparison) -> None:
    _say("data", f"{len(data.same)} files as recorded, {len(data.changed)} changed, "
         f"{len(data.absent)} not there, {len(data.unnamed)} that no statement names")  # fmt: skip
    _several("changed", [f"{file} is not {_one(each.things)}" for file, each in data.changed])
    absent = [f"{_one(each.paths) or each.digest} ({_one(each.things)})" for each in data.absent]
    _several("not there", absent)
    _several("no statement", list(data.unnamed))


def _one(names: dict[str, None]) -> str:
    return next(iter(names), "")


def _several(word: str, rows: list[str]) -> None:
    for row in rows[:SHOWN_MAX]:
        _say(word, row)
    if len(rows) > SHOWN_MAX:
        _say(word, f"and {len(rows) - SHOWN_MAX:,} more; --json tells all")


def _say(name: str, text: str) -> None:
    shown = "".join(character if character.isprintable() else "?" for character in text)
    click.echo(f"  {name:<18}{shown}")
