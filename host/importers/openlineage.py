"""OpenLineage events: which runs of which jobs read and wrote which data sets.

    run         activity openlineage:run/<runId>, started and ended by its events
    job         entity openlineage:job/<namespace>/<name>, the plan of the run's association
    producer    agent openlineage:producer/<URI>
    input       used; output: wasGeneratedBy, both by the name of the data set
    version     where the event tells it: an entity of its own, specializationOf the data set, which
                is then what was used or generated
    parent run  wasStartedBy

A data set without versions is one entity however often it is written: what the events do not tell
apart is not told apart here.  Source: OpenLineage specification 2-0-2 (RunEvent, DatasetEvent).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from host.importers.json_lines import read_objects
from host.importers.source import Source
from ledger.applications.provenance import QUALIFIED_NAME, STRING, Statement, make_statement
from ledger.errors import Fault, UserError
from ledger.transaction import Operation

NAMESPACES = {"openlineage": "urn:x-openlineage:"}
ENDS = ("COMPLETE", "FAIL", "ABORT")
EVENTS = ("START", "RUNNING", *ENDS, "OTHER")


def source(path: Path) -> Source:
    """Every event of a file with a run or a data set.  Raises UserError."""
    parts: list[list[Operation]] = []
    left_out = 0
    for number, event in enumerate(read_objects(path), 1):
        try:
            made = [statement.operation() for statement in _statements(event)]
        except Fault as fault:
            raise UserError(f"{path}, event {number}: {fault}") from None
        if made:
            parts.append(made)
        else:
            left_out += 1
    if not parts:
        raise UserError(f"{path} holds no OpenLineage event about a run or a data set")
    total = sum(len(part) for part in parts)
    return Source(
        "openlineage", f"{len(parts)} events of {path.name}", parts, total, left_out=left_out
    )


def _statements(event: dict[str, Any]) -> Iterator[Statement]:
    """An event's statements; none for one that is about a job alone."""
    time = _text(event.get("eventTime"))
    run = _text(_at(_at(event, "run"), "runId"))
    if not run:
        if (dataset := _at(event, "dataset")) is not None:
            yield from _dataset(dataset)[1]
        return
    kind = _text(event.get("eventType")).upper()
    if kind and kind not in EVENTS:
        raise Fault("openlineage.event", f"no such type of event: {kind}")
    activity = _name("run", run)
    yield _make(
        "activity",
        activity,
        {"startTime": time if kind == "START" else "", "endTime": time if kind in ENDS else ""},
        {"openlineage:eventType": kind},
    )
    yield from _job(event, activity)
    parent = _text(_at(_at(_at(_at(event, "run"), "facets"), "parent"), "run", "runId"))
    if parent:
        starter = _name("run", parent)
        yield _make("wasStartedBy", "", {"activity": activity, "starter": starter})
    for dataset in _list(event.get("inputs")):
        entity, made = _dataset(dataset)
        yield from made
        yield _make("used", "", {"activity": activity, "entity": entity})
    for dataset in _list(event.get("outputs")):
        entity, made = _dataset(dataset)
        yield from made
        yield _make("wasGeneratedBy", "", {"entity": entity, "activity": activity})


def _job(event: dict[str, Any], activity: str) -> Iterator[Statement]:
    job = event.get("job")
    producer = _text(event.get("producer"))
    if not isinstance(job, dict) or not producer:
        return
    plan = _name("job", _text(job.get("namespace")), _text(job.get("name")))
    agent = _name("producer", producer)
    plan_type = ("prov:type", "prov:Plan", QUALIFIED_NAME)
    yield make_statement("entity", plan, namespaces=NAMESPACES, attributes=[plan_type])
    yield _make("agent", agent, {}, {"prov:label": producer})
    arguments = {"activity": activity, "agent": agent, "plan": plan}
    yield _make("wasAssociatedWith", "", arguments)


def _dataset(dataset: Any) -> tuple[str, list[Statement]]:
    """(name of the entity, statements that introduce it).  Raises Fault."""
    name = _text(_at(dataset, "name"))
    if not name:
        raise Fault("openlineage.dataset", "a data set without a name")
    whole = _name("dataset", _text(_at(dataset, "namespace")), name)
    made = [_make("entity", whole, {}, {"prov:label": name})]
    version = _text(_at(_at(_at(dataset, "facets"), "version"), "datasetVersion"))
    if not version:
        return whole, made
    one = f"{whole}@{quote(version, safe='', errors='replace')}"
    made.append(_make("entity", one, {}, {"openlineage:datasetVersion": version}))
    pair = {"specificEntity": one, "generalEntity": whole}
    made.append(_make("specializationOf", "", pair))
    return one, made


def _make(
    kind: str, name: str, arguments: dict[str, str], attributes: dict[str, str] | None = None
) -> Statement:
    rows = [(key, value, STRING) for key, value in (attributes or {}).items() if value]
    return make_statement(kind, name, namespaces=NAMESPACES, arguments=arguments, attributes=rows)


def _name(*parts: str) -> str:
    return "openlineage:" + "/".join(quote(part, safe=":@+=", errors="replace") for part in parts)


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
