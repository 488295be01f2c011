"""The published description is valid OpenAPI, and of every route."""

from __future__ import annotations

import re

from openapi_spec_validator import validate

from api.app import ROUTES
from api.openapi import PATHS, document


def test_the_description_is_valid_openapi() -> None:
    validate(document())


def test_every_route_is_described_and_nothing_else() -> None:
    served = {(path.replace(":path", ""), method.lower()) for method, path, _ in ROUTES}
    described = {(path, method) for path, methods in PATHS.items() for method in methods}

    assert described == served


def test_every_parameter_of_a_path_is_described() -> None:
    for path, methods in PATHS.items():
        for described in methods.values():
            named = {
                parameter["name"]
                for parameter in described.get("parameters", ())
                if parameter["in"] == "path"
            }
            assert named == set(re.findall(r"{(\w+)}", path))


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [
        described["operationId"] for methods in PATHS.values() for described in methods.values()
    ]

    assert len(names) == len(set(names))
