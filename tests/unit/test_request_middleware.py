"""What is told of every request: its id, one line, and metrics that do not grow with what clients send."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Scope

from app.middleware.head import HeadMiddleware
from app.middleware.logging import PerformanceMiddleware, RequestLoggingMiddleware
from app.utils import metrics
from app.utils.advanced_logging import current_request_id, setup_logging, shutdown_logging
from app.utils.metrics import get_metrics

BOTH = [RequestLoggingMiddleware, PerformanceMiddleware]
ORDERS = pytest.mark.parametrize("order", list(permutations(BOTH)), ids=["performance first", "logging first"])
logger = logging.getLogger("tests.middleware")


def _app(*order: Any, slow_s: float = 60) -> FastAPI:
    """The first of `order` is the innermost."""
    app = FastAPI()
    router = APIRouter(prefix="/sources")

    @app.get("/items/{item}")
    async def item(item: str, request: Request) -> dict[str, Any]:
        logger.info("seen")
        return {"item": item, "id": request.state.request_id, "context": current_request_id()}

    @app.get("/plain")
    def plain() -> str:
        logger.info("seen in a thread")
        return "plain"

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.get("/refused")
    async def refused(request: Request) -> Response:
        raise HTTPException(418)

    @app.get("/named")
    async def named(request: Request) -> Response:
        request.state.problem = "out-of-power"
        return Response(status_code=503)

    @app.get("/own")
    async def own() -> Response:
        return Response(headers={"X-Request-ID": "its-own", "X-Process-Time": "1"})

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    @app.get("/breaks-off")
    async def breaks_off() -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            raise ZeroDivisionError

        return StreamingResponse(body())

    @app.get("/events")
    async def events() -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.sleep(0.3)

        return StreamingResponse(body(), media_type="text/event-stream")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(logger.info, "done afterwards")
        return "done"

    @router.get("/{source}")
    async def source(source: str) -> str:
        return source

    app.include_router(router, prefix="/api/v1")
    app.mount("/tenants/{tenant}", Starlette(routes=[Route("/things/{thing}", lambda _: PlainTextResponse("x"))]))
    app.mount("/static", StaticFiles(directory=Path(__file__).parent))
    app.mount("/inner", Starlette(routes=[Mount("/deep", FastAPI())]))
    for each in order:
        app.add_middleware(each, slow_request_threshold=slow_s)
    return app


def _client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    setup_logging(log_dir=tmp_path / "logs")
    yield tmp_path / "logs"
    shutdown_logging()


def _lines(folder: Path, event: str = "request") -> list[dict[str, Any]]:
    shutdown_logging()
    lines = [json.loads(line) for line in (folder / "app.log").read_text().splitlines()]
    return [line for line in lines if line["msg"] == event]


def _sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@ORDERS
def test_both_headers_line_and_metrics_in_either_order(order: Any, folder: Path) -> None:
    counted = {"method": "GET", "endpoint": "/items/{item}", "status": "200"}
    before = _sample("request_count_total", **counted)
    answer = _client(_app(*order)).get("/items/7?secret=1", headers={"X-Request-ID": "abc-123"})
    assert answer.json() == {"item": "7", "id": "abc-123", "context": "abc-123"}
    assert answer.headers.get_list("x-request-id") == ["abc-123"]
    (seconds,) = answer.headers.get_list("x-process-time")
    assert 0 < float(seconds) < 10
    assert _sample("request_count_total", **counted) == before + 1
    (line,) = _lines(folder)
    assert {name: line[name] for name in line if name not in {"ts", "duration_ms"}} == {
        "level": "INFO", "logger": "app.access", "msg": "request", "request_id": "abc-123", "method": "GET",
        "route": "/items/{item}", "path": "/items/7", "status": 200, "client": "testclient", "request_bytes": 0,
        "response_bytes": len(answer.content),
    }  # fmt: skip
    assert 0 < line["duration_ms"] < 10_000
    (seen,) = _lines(folder, "seen")
    assert seen["request_id"] == "abc-123"


def test_threads_of_the_framework_have_the_id(folder: Path) -> None:
    _client(_app(*BOTH)).get("/plain", headers={"X-Request-ID": "abc-123"})
    (seen,) = _lines(folder, "seen in a thread")
    assert seen["request_id"] == "abc-123"


@pytest.mark.parametrize("given", ["", "a b", "unknown!", "x" * 129, "a\tb", "é"], ids=ascii)
def test_an_unfit_id_is_replaced(given: str) -> None:
    client = _client(_app(*BOTH))
    ids = {
        client.get("/items/1", headers={b"X-Request-ID": given.encode()}).headers["x-request-id"] for _ in range(9)
    }
    assert len(ids) == 9
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)


@pytest.mark.parametrize("given", ["a", "A.b_c:d-9", "x" * 128])
def test_a_fit_id_is_kept(given: str) -> None:
    assert _client(_app(*BOTH)).get("/nowhere", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@ORDERS
def test_of_an_endpoints_own_id_and_the_requests_the_requests_is_told(order: Any) -> None:
    answer = _client(_app(*order)).get("/own", headers={"X-Request-ID": "the-requests"})
    assert answer.headers.get_list("x-request-id") == ["the-requests"]
    assert len(answer.headers.get_list("x-process-time")) == 1


@pytest.mark.parametrize("alone", BOTH, ids=["logging", "performance"])
def test_each_works_alone(alone: Any, folder: Path) -> None:
    answer = _client(_app(alone, slow_s=0)).get("/plain")
    assert answer.text == '"plain"'
    assert ("x-request-id" in answer.headers) == (alone is RequestLoggingMiddleware)
    assert ("x-process-time" in answer.headers) == (alone is PerformanceMiddleware)
    (line,) = _lines(folder, "request" if alone is RequestLoggingMiddleware else "slow_request")
    assert line["level"] == "WARNING"
    assert line["request_id"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/v1/sources/7", "/api/v1/sources/{source}"),
        ("/tenants/7/things/8", "/tenants/{tenant}/things/{thing}"),
        ("/tenants/7/nothing", "/tenants/{tenant}/{path}"),
        ("/static/test_logging.py", "/static/{path}"),
        ("/static/7", "/static/{path}"),
        ("/inner/deep/docs", "/inner/deep/{path}"),
        ("/docs", "/docs"),
        ("/items", "unmatched"),
        ("/items/7/", "unmatched"),
        ("/no/7", "unmatched"),
    ],
)
def test_a_route_is_named_by_its_template(path: str, route: str, folder: Path) -> None:
    _client(_app(*BOTH)).get(path, follow_redirects=False)
    (line,) = _lines(folder)
    assert (line["route"], line["path"]) == (route, path)


def test_metrics_do_not_grow_with_what_clients_send() -> None:
    client = _client(_app(*BOTH))
    paths = ["/items/{}", "/no/{}", "/{}", "/api/v1/sources/{}", "/tenants/{}/things/{}", "/static/{}", "/inner/{}"]

    def ask(numbers: range) -> None:
        for number in numbers:
            path = paths[number % len(paths)].replace("{}", f"id{number}")
            client.request(f"M{number}" if number % 3 == 0 else "GET", path, headers={"X-Request-ID": f"id{number}"})

    ask(range(42))
    before = get_metrics()
    ask(range(42, 300))
    asyncio.run(_ask_unknown(PerformanceMiddleware(_app(RequestLoggingMiddleware)), 10_000))
    after = get_metrics()
    assert _names(after) == _names(before)
    assert b"id29" not in after
    assert b'method="other"' in after


def _names(text: bytes) -> set[bytes]:
    return {line.rpartition(b" ")[0] for line in text.splitlines()}


async def _ask_unknown(app: Any, count: int) -> None:
    """As the client does, but fast."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_: Message) -> None: ...

    for number in range(count):
        await app(_scope(f"/unknown/{number}", method=f"M{number}"), receive, send)


def _scope(path: str, method: str = "GET") -> Scope:
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], "client": ("10.0.0.1", 1),
        "server": ("a", 80), "scheme": "http", "root_path": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/refused", 418, "i'm-a-teapot"),
        ("/named", 503, "out-of-power"),
        ("/broken", 500, "internal-server-error"),
        ("/breaks-off", 500, "internal-server-error"),
        ("/nowhere", 404, "not-found"),
    ],
)
@ORDERS
def test_errors_are_counted_by_their_kind(order: Any, path: str, status: int, kind: str, folder: Path) -> None:
    endpoint = "unmatched" if path == "/nowhere" else path
    before = _sample("request_errors_total", endpoint=endpoint, type=kind)
    _client(_app(*order)).get(path)
    assert _sample("request_errors_total", endpoint=endpoint, type=kind) == before + 1
    assert _sample("requests_in_progress") == 0
    (line,) = _lines(folder)
    assert (line["status"], line["level"]) == (status, "INFO")


@ORDERS
def test_a_slow_request_is_warned_of_and_counted(order: Any, folder: Path) -> None:
    before = _sample("slow_requests_total", endpoint="/plain")
    _client(_app(*order, slow_s=0)).get("/plain", headers={"X-Request-ID": "slow-1"})
    assert _sample("slow_requests_total", endpoint="/plain") == before + 1
    (slow,), (line,) = _lines(folder, "slow_request"), _lines(folder)
    assert slow["level"] == line["level"] == "WARNING"
    assert slow["request_id"] == "slow-1"
    assert slow["route"] == "/plain"


def test_listening_to_events_is_not_slow(folder: Path) -> None:
    app = _app(*BOTH, slow_s=0.25)
    with _client(app) as client:  # the first request builds the middlewares
        client.get("/plain")
        client.get("/events")
    assert [line["route"] for line in _lines(folder, "slow_request")] == []
    events = _lines(folder)[-1]
    assert events["duration_ms"] >= 290


def test_the_threshold_comes_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOW_REQUEST_THRESHOLD", "0")
    app = _app()
    app.add_middleware(PerformanceMiddleware)
    app.add_middleware(RequestLoggingMiddleware)
    _client(app).get("/plain")
    assert len(_lines(folder, "slow_request")) == 1


def test_work_after_the_answer_does_not_count(folder: Path) -> None:
    _client(_app(*BOTH)).get("/background")
    shutdown_logging()
    lines = [json.loads(line)["msg"] for line in (folder / "app.log").read_text().splitlines()]
    assert lines.index("request") < lines.index("done afterwards")


def test_bytes_are_counted_in_both_directions(folder: Path) -> None:
    _client(_app(*BOTH)).post("/echo", content=b"x" * 12_345)
    (line,) = _lines(folder)
    assert (line["request_bytes"], line["response_bytes"]) == (12_345, 12_345)


def test_a_long_path_is_cut_in_the_line(folder: Path) -> None:
    _client(_app(*BOTH)).get("/" + "a" * 5_000)
    (line,) = _lines(folder)
    assert len(line["path"]) == 2_000


def test_head_is_told_as_head(folder: Path) -> None:
    app = _app()
    app.add_middleware(HeadMiddleware)
    for each in BOTH:
        app.add_middleware(each)
    answer = _client(app).head("/items/7")
    assert answer.status_code == 200
    (line,) = _lines(folder)
    assert (line["method"], line["route"], line["response_bytes"]) == ("HEAD", "/items/{item}", 0)


async def test_streams_pass_through_piece_by_piece() -> None:
    sent: list[Message] = []

    async def stream(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        for part in (b"a", b"b", b""):
            await send({"type": "http.response.body", "body": part, "more_body": bool(part)})
            assert sent[-1]["body"] == part

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)
        assert _sample("requests_in_progress") == 1

    app = RequestLoggingMiddleware(PerformanceMiddleware(stream, 60), 60)
    await app(_scope("/a"), receive, send)
    assert [name for name, _ in sent[0]["headers"]] == [b"x-request-id", b"x-process-time"]
    assert len(sent) == 4
    assert _sample("requests_in_progress") == 0


async def test_a_message_that_is_sent_again_does_not_gather_headers() -> None:
    head: Message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
    sent: list[Message] = []

    async def constant(scope: Scope, receive: Any, send: Any) -> None:
        await send(head)
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    for _ in range(2):
        await RequestLoggingMiddleware(PerformanceMiddleware(constant, 60), 60)(_scope("/a"), receive, send)
    assert head["headers"] == [(b"a", b"b")]
    assert [len(message["headers"]) for message in sent[::2]] == [3, 3]


@pytest.mark.parametrize("when", ["before the head", "at the body"])
async def test_a_client_that_goes_away_is_no_error_of_ours(when: str, folder: Path) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    path, method = ("/echo", "POST") if when == "before the head" else ("/items/7", "GET")
    raised: list[BaseException] = []
    try:
        await _app(*BOTH)(_scope(path, method), receive, send)
    except Exception as error:  # the server's to see
        raised.append(error)
    assert raised
    assert _sample("requests_in_progress") == 0
    (line,) = _lines(folder)
    assert (line["disconnected"], line["status"]) == (True, 499 if method == "POST" else 200)


async def test_a_cancelled_request_is_told_and_no_longer_counted(folder: Path) -> None:
    started = asyncio.Event()

    async def endless(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        started.set()
        await asyncio.Event().wait()

    async def unused(*_: Any) -> Any: ...

    app = PerformanceMiddleware(RequestLoggingMiddleware(endless, 60), 60)
    task = asyncio.create_task(app(_scope("/"), unused, unused))
    await started.wait()
    assert _sample("requests_in_progress") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _sample("requests_in_progress") == 0
    (line,) = _lines(folder)
    assert line["status"] == 200


def test_mounted_applications_with_the_same_middlewares_tell_once(folder: Path) -> None:
    outer = _app(*BOTH)
    outer.router.routes.insert(0, Mount("/sub", _app(*BOTH)))
    answer = _client(outer).get("/sub/items/7")
    assert len(answer.headers.get_list("x-request-id")) == len(answer.headers.get_list("x-process-time")) == 1
    (line,) = _lines(folder)
    assert line["route"] == "/sub/items/{item}"


async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[tuple[Any, ...]] = []

    async def app(*call: Any) -> None:
        seen.append(call)

    async def unused(*_: Any) -> Any: ...

    for kind in ("websocket", "lifespan"):
        scope = {"type": kind}
        await PerformanceMiddleware(RequestLoggingMiddleware(app))(scope, unused, unused)
        assert seen.pop() == (scope, unused, unused)
        assert scope == {"type": kind}
