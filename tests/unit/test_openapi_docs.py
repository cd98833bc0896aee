"""The OpenAPI document of any application, completed."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Query
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from app.utils.openapi_docs import ProblemType, enhance_openapi_documentation

GONE = ProblemType("https://parcels.example/problems/gone", 404, "Gone", {"type": "x", "status": 404})
NO_KEY = ProblemType("urn:parcels:no-key", 401, "No key", {"type": "y", "status": 401})
INVALID = ProblemType("urn:parcels:invalid", 422, "Invalid", {"type": "z", "status": 422})


class Parcel(BaseModel):
    """A thing on its way."""

    number: str = Field(examples=["P-1"])
    weight_kg: float | None = None
    inside: list["Parcel"] = []


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


def parcels(app: FastAPI) -> None:
    @app.get("/api/v1/parcels/{number}", response_model=Parcel, responses={404: {"model": Problem}})
    async def parcel(number: str, depth: Annotated[int, Query(examples=[2])] = 1) -> None: ...

    @app.post("/api/v1/parcels", dependencies=[Depends(APIKeyHeader(name="X-Key"))], tags=["writing"])
    async def create(new: Parcel) -> None:
        """Send it."""

    @app.get("/health")
    async def health(unknown: str | None = None) -> dict[str, str]:
        return {}


@pytest.fixture
def app() -> FastAPI:
    """Enhanced before its routes exist, as a program does that calls it where the application is made."""
    app = FastAPI()
    enhance_openapi_documentation(app, problems=[GONE, NO_KEY, INVALID])
    parcels(app)
    return app


def test_routes_that_come_later_are_in_it(app: FastAPI) -> None:
    before = app.openapi()["paths"]
    app.add_api_route("/later", lambda: None)
    assert set(before) == {"/api/v1/parcels/{number}", "/api/v1/parcels", "/health"}
    assert "/later" in TestClient(app).get("/openapi.json").json()["paths"]


def test_it_is_made_once(app: FastAPI) -> None:
    assert app.openapi() is app.openapi()


def test_title_description_and_tags_are_never_missing(app: FastAPI) -> None:
    document = app.openapi()
    assert document["info"]["title"] == "FastAPI"
    assert document["info"]["description"].startswith("FastAPI, version 0.1.0.")
    assert {tag["name"]: bool(tag["description"]) for tag in document["tags"]} == {
        "parcels": True,
        "writing": True,
        "health": True,
    }
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["summary"] and operation["description"] and operation["tags"] for operation in operations)
    assert document["paths"]["/api/v1/parcels"]["post"]["description"] == "Send it."


def test_what_the_application_says_stays() -> None:
    app = FastAPI(title="Parcels", description="Where they are.", openapi_tags=[{"name": "a", "description": "b"}])
    enhance_openapi_documentation(app)
    app.add_api_route("/x", lambda: None, tags=["a"], summary="S", description="D")
    document = app.openapi()
    assert (document["info"]["title"], document["info"]["description"]) == ("Parcels", "Where they are.")
    assert document["tags"] == [{"name": "a", "description": "b"}]
    assert document["paths"]["/x"]["get"]["description"] == "D"


def test_examples_are_given_where_the_schema_has_them_and_never_made_up(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    get = paths["/api/v1/parcels/{number}"]["get"]
    assert [parameter.get("example") for parameter in get["parameters"]] == [None, 2]
    example = {"number": "P-1", "inside": []}
    content: dict[str, Any] = get["responses"]["200"]["content"]["application/json"]
    assert content["example"] == example | {"weight_kg": None}
    body = paths["/api/v1/parcels"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"] == content["example"]
    assert "example" not in paths["/health"]["get"]["responses"]["200"]["content"]["application/json"]


def test_errors_are_documented_as_the_problems_that_they_are(app: FastAPI) -> None:
    document = app.openapi()
    answers = document["paths"]["/api/v1/parcels/{number}"]["get"]["responses"]
    schema = {"$ref": "#/components/schemas/Problem"}
    gone = {"gone": {"summary": "Gone", "value": {"type": "x", "status": 404}}}
    assert answers["404"]["content"] == {"application/problem+json": {"schema": schema, "examples": gone}}
    assert list(answers["422"]["content"]) == ["application/problem+json"]
    writing = document["paths"]["/api/v1/parcels"]["post"]["responses"]
    assert {"401", "403"} <= set(writing)
    assert list(writing["401"]["content"]["application/problem+json"]["examples"]) == ["no-key"]
    assert "HTTPValidationError" not in str(document)
    assert "`urn:parcels:invalid` | 422" in document["info"]["description"]


def test_definitions_of_a_schema_written_by_hand_are_lifted() -> None:
    app = FastAPI()
    enhance_openapi_documentation(app)
    schema = {"$ref": "#/components/schemas/Parcel", "$defs": {"Parcel": Parcel.model_json_schema()}}
    body = {"content": {"application/json": {"schema": schema}}}
    app.add_api_route("/x", lambda: None, methods=["POST"], openapi_extra={"requestBody": body})
    document = app.openapi()
    assert "Parcel" in document["components"]["schemas"]
    assert "$defs" not in str(document["paths"])


def test_enhancing_twice_changes_nothing_more() -> None:
    once, twice = FastAPI(), FastAPI()
    for app, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            enhance_openapi_documentation(app)
        parcels(app)
    assert once.openapi() == twice.openapi()
