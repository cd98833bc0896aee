"""Completes the OpenAPI document of a FastAPI application: what the routes leave out, and what they cannot say.

    app = FastAPI(title="Parcels", description="Where parcels are.")
    enhance_openapi_documentation(app)

Nothing that a route says is replaced, but for one thing: FastAPI documents every answer as the route's own media
type, so that a problem document (RFC 9457) would be announced as `application/json`.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from app.utils._openapi_examples import NONE, example_of

PROBLEM_MEDIA_TYPE = "application/problem+json"
"""RFC 9457, section 3."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PROBLEM_MEMBERS = {"type", "title", "status", "detail"}
_OF_FASTAPI = "HTTPValidationError"
_Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of error that the application answers with."""

    type: str
    """Its URI, which never changes."""
    status: int
    title: str
    example: Mapping[str, Any]
    """A whole problem document of this kind."""
    needs_body: bool = False
    """Whether only a request that has a body can be answered so."""


def enhance_openapi_documentation(app: FastAPI, *, problems: Sequence[ProblemType] = ()) -> None:
    """Let `app.openapi()` answer a complete document. Call it at any time, also before there are routes.

    Added where missing: description of the application, tags, descriptions, an example of every parameter, body and
    answer whose schema gives examples. Schemas that a route writes by hand (`openapi_extra`) may hold `$defs`.

    With `problems`, every error answer whose schema is a problem document gets its media type and an example of each
    kind with that status; operations that need a key get 401 and 403, and FastAPI's own shape of a 422 gives way. At
    least one route must name the application's problem model in its `responses`.
    """
    plain = app.openapi
    known: list[_Document] = []  # the document last seen, and what was made of it

    def openapi() -> _Document:
        document = plain()
        if not known or known[0] is not document:
            known[:] = [document, _enhanced(deepcopy(document), problems)]
        return known[1]

    app.openapi = openapi  # type: ignore[method-assign]


def _enhanced(document: _Document, problems: Sequence[ProblemType]) -> _Document:
    definitions = document.setdefault("components", {}).setdefault("schemas", {})
    _lift_definitions(document["paths"], definitions)
    problem = _problem_schema(definitions)
    for path, operation in _operations(document):
        _describe(operation, path)
        if problem and problems:
            _document_problems(operation, problem, problems)
        _give_examples(operation, definitions)
    if problems:
        definitions.pop(_OF_FASTAPI, None)
        definitions.pop("ValidationError", None)
    _describe_tags(document)
    _describe_application(document, problems)
    return document


def _operations(document: _Document) -> Iterator[tuple[str, _Document]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, item[method]


def _lift_definitions(node: Any, definitions: _Document) -> None:
    """Move every `$defs` to where all schemas stand; references to them must say so already."""
    if isinstance(node, dict):
        for name, schema in node.pop("$defs", {}).items():
            definitions.setdefault(name, schema)
        for child in node.values():
            _lift_definitions(child, definitions)
    elif isinstance(node, list):
        for child in node:
            _lift_definitions(child, definitions)


def _describe(operation: _Document, path: str) -> None:
    summary = operation.setdefault("summary", path)
    operation.setdefault("description", f"{summary}.")
    operation.setdefault("tags", [_tag_of(path)])


def _tag_of(path: str) -> str:
    """The first part that names a thing: `stations` of `/api/v1/stations/{id}`."""
    parts = [part for part in path.split("/") if part and not part.startswith("{")]
    named = [part for part in parts if part != "api" and not (part[0] == "v" and part[1:].isdigit())]
    return (named or parts or ["default"])[0]


def _describe_tags(document: _Document) -> None:
    """List all tags that are used: those the application describes, then the others in the order of their use."""
    of_tag: dict[str, list[str]] = {}
    for _, operation in _operations(document):
        for tag in operation["tags"]:
            of_tag.setdefault(tag, []).append(operation["summary"])
    tags = document.setdefault("tags", [])
    tags += [{"name": name} for name in of_tag if name not in {tag["name"] for tag in tags}]
    for tag in tags:
        tag.setdefault("description", "; ".join(of_tag.get(tag["name"], [])) or tag["name"])


def _describe_application(document: _Document, problems: Sequence[ProblemType]) -> None:
    info = document["info"]
    info["description"] = info.get("description") or f"{info['title']}, version {info['version']}."
    if problems:
        rows = "\n".join(f"| `{each.type}` | {each.status} | {each.title} |" for each in problems)
        info["description"] += (
            f"\n\n## Errors\n\nEvery error is a problem document (RFC 9457, `{PROBLEM_MEDIA_TYPE}`).\n\n"
            f"| type | status | title |\n|---|---|---|\n{rows}\n"
        )


def _problem_schema(definitions: _Document) -> _Document | None:
    """Reference to the application's problem model: the one with the members of RFC 9457."""
    for name, schema in definitions.items():
        if schema.get("properties", {}).keys() >= _PROBLEM_MEMBERS:
            return {"$ref": f"#/components/schemas/{name}"}
    return None


def _document_problems(operation: _Document, problem: _Document, problems: Sequence[ProblemType]) -> None:
    answers = operation["responses"]
    for status in ("401", "403") if operation.get("security") else ():
        answers.setdefault(status, {"description": HTTPStatus(int(status)).phrase, "content": _json(problem)})
    for status, answer in answers.items():
        content = answer.get("content", {})
        reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        if reference in {problem["$ref"], f"#/components/schemas/{_OF_FASTAPI}"}:
            del content["application/json"]
            possible = [each for each in problems if "requestBody" in operation or not each.needs_body]
            content[PROBLEM_MEDIA_TYPE] = {"schema": problem, "examples": _problem_examples(status, possible)}


def _json(schema: _Document) -> _Document:
    return {"application/json": {"schema": schema}}


def _problem_examples(status: str, problems: Sequence[ProblemType]) -> _Document:
    return {
        each.type.rpartition(":")[2].rpartition("/")[2]: {"summary": each.title, "value": dict(each.example)}
        for each in problems
        if str(each.status) == status
    }


def _give_examples(operation: _Document, definitions: _Document) -> None:
    for parameter in operation.get("parameters", ()):
        _give_example(parameter, definitions)
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for content in (body.get("content", {}) for body in bodies):
        for each in content.values():
            _give_example(each, definitions)


def _give_example(described: _Document, definitions: _Document) -> None:
    if "schema" in described and not ("example" in described or "examples" in described):
        example = example_of(described["schema"], definitions)
        if example is not NONE:
            described["example"] = example
