"""What a key may do."""

from enum import StrEnum


class Scope(StrEnum):
    """A closed list: a scope exists when something asks for it."""

    STATIONS_WRITE = "stations:write"
    """Create and update stations."""
    STATUS_WRITE = "status:write"
    """Tell the states of EVSEs."""
    OCPI_WRITE = "ocpi:write"
    """Push locations over OCPI."""
    JOBS_READ = "jobs:read"
    """See background jobs, with their errors."""
    WEBHOOKS = "webhooks"
    """Be told of changes by requests to addresses of one's own."""
