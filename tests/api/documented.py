"""Whether an answer is one that the published description promises."""

from __future__ import annotations

import re
from typing import Any

import httpx
from openapi_schema_validator import OAS31Validator

from api.openapi import document

DOCUMENT = document()


def route_of(path: str) -> str:
    """The described path that a request's path is an instance of."""
    for template in sorted(DOCUMENT["paths"], key=lambda text: text.count("{")):
        pattern = re.sub(r"\\\{place\\\}", ".+", re.escape(template))
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", pattern)
        if re.fullmatch(pattern, path):
            return template
    raise AssertionError(f"no route is described for {path}")


def check_documented(answer: httpx.Response) -> None:
    """Assert that status, media type and content are as described."""
    request = answer.request
    described = DOCUMENT["paths"][route_of(request.url.path)][request.method.lower()]
    responses = described["responses"]
    assert str(answer.status_code) in responses, f"{request.url} answers {answer.status_code}"
    media_type = answer.headers["content-type"].split(";")[0]
    content = responses[str(answer.status_code)]["content"]
    assert media_type in content, f"{request.url} answers {media_type}"
    if media_type == "application/json":
        check_schema(content[media_type]["schema"], answer.json())


def check_schema(schema: dict[str, Any], value: object) -> None:
    """Assert that a value is what a schema of the description says."""
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(value)
