"""The template of the route that answered a request: a name from a short list, whatever the client sent."""

from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute, Mount
from starlette.types import Scope

UNMATCHED = "unmatched"


def route_template(scope: Scope) -> str:
    """Such as `/api/v1/stations/{station_id}`; `/static/{path}` for a mounted application that has no routes of
    ours; `unmatched` where there is no route. To be asked once the router is done with the scope; who answers
    before the router may put its route into `scope["route"]`."""
    prefix = _mounts(scope["router"].routes, _path_in_app(scope)) if "app_root_path" in scope else ""
    path = getattr(_route(scope), "path", None)
    if path is None:
        return f"{prefix}/{{path}}" if prefix else UNMATCHED
    return f"{prefix}{path}"


def _route(scope: Scope) -> Any:
    """FastAPI keeps a route that was included under a prefix beside the route that bears it, and tells no route
    for what is not its own, such as the documentation page."""
    route = scope.get("route")
    if route is None:
        return _route_of(scope.get("endpoint"), scope)
    if isinstance(route, Mount):
        return None
    included = scope.get("fastapi", _NOTHING).get("effective_route_context")
    return included if included is not None and included.original_route is route else route


_NOTHING: dict[str, Any] = {}


def _route_of(endpoint: Any, scope: Scope) -> BaseRoute | None:
    if endpoint is None or "router" not in scope:
        return None
    return next((each for each in scope["router"].routes if getattr(each, "endpoint", None) is endpoint), None)


def _mounts(routes: Iterable[BaseRoute] | None, path: str) -> str:
    """Templates of the mounts, one in the other, that lead to `path`."""
    for mount in routes or ():
        if isinstance(mount, Mount) and (match := mount.path_regex.match(path)):
            return mount.path + _mounts(mount.routes, f"/{match['path']}")
    return ""


def _path_in_app(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope["app_root_path"])
