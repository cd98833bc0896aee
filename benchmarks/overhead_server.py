"""A page of constant bytes, with as much of the toolkit around it as is asked for.

Run as a program: `PORT PART...`; a part is `middleware` or `logging`, none is the bare page.
"""

import sys
import tempfile

import uvicorn
from fastapi import FastAPI, Response

from app.cli.serve import OPTIONS
from app.middleware.logging import PerformanceMiddleware, RequestLoggingMiddleware
from app.utils.advanced_logging import setup_logging

_BODY = b"x" * 1_000


def main(port: int, parts: set[str]) -> None:
    app = FastAPI()

    @app.get("/constant")
    async def constant() -> Response:
        return Response(_BODY)

    if "middleware" in parts:
        app.add_middleware(PerformanceMiddleware)
        app.add_middleware(RequestLoggingMiddleware)
        setup_logging(level="INFO" if "logging" in parts else "ERROR", log_dir=tempfile.mkdtemp())
    uvicorn.run(app, port=port, **OPTIONS)


if __name__ == "__main__":
    main(int(sys.argv[1]), set(sys.argv[2:]))
