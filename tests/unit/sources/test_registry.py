"""What every source owes."""

import io

import pytest

from app.errors import SourceFormatError, UnknownSourceError
from app.sources.registry import Source, all_sources, find_source

SOURCES = list(all_sources().values())


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.facts.name)
class TestEverySource:
    def test_its_licence_and_origin_are_stated(self, source: Source) -> None:
        facts = source.facts
        if source.is_catalogue:
            assert not facts.licence  # each of its stations brings that of its own source
            return
        assert facts.licence
        assert facts.attribution
        assert facts.title
        assert facts.homepage.startswith("https://")
        assert facts.licence_url.startswith("https://")
        assert facts.cadence.total_seconds() > 0

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\x01\x02", b"<html></html>", b"no;such,format\n1;2,3\n"])
    def test_what_is_not_its_format_is_refused_as_a_whole(self, source: Source, content: bytes) -> None:
        with pytest.raises(SourceFormatError):
            list(source.parse(io.BytesIO(content)))


def test_a_source_is_found_by_name() -> None:
    assert find_source("irve").facts.name == "irve"
    with pytest.raises(UnknownSourceError, match="afdc, bnetza, datex2, irve, irve-live, ocm"):
        find_source("tesla")
