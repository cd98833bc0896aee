"""What Prometheus reads."""

from fastapi import APIRouter, Response

from app.utils.metrics import CONTENT_TYPE, get_metrics

router = APIRouter(tags=["monitoring"])


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics() -> Response:
    """Of all worker processes together, in Prometheus text form. Absent when METRICS_ENABLED is false."""
    return Response(get_metrics(), media_type=CONTENT_TYPE)
