"""The command line, in a data directory of its own."""

import csv
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from app import __version__
from tests.acceptance.conftest import Command, environment, voltway
from tests.conftest import DATA
from tests.services import free_port


def test_version(command: Command) -> None:
    assert command("--version").stdout == f"voltway {__version__}\n"


def test_every_command_explains_itself(command: Command) -> None:
    overview = command("--help").stdout
    for name in ("serve", "migrate", "import", "near", "demo"):
        assert name in overview
        assert command(name, "--help").returncode == 0


def test_without_tables_the_error_says_what_to_run(command: Command) -> None:
    for arguments in (["near", "52", "13"], ["demo"], ["import", "ocm", "x.json"], ["serve"]):
        done = command(*arguments)
        assert done.returncode == 1
        assert done.stderr == "error: The database has no VoltWay tables yet: run `voltway migrate` first.\n"


@pytest.mark.parametrize("written", ["mysql://x/y", "nonsense"])
def test_a_bad_database_url_is_named(command: Command, written: str) -> None:
    done = command("migrate", DATABASE_URL=written)
    assert done.returncode == 1
    assert done.stderr.startswith("error: DATABASE_URL")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"REPLICA_POLL_SECONDS": "abc"}, "REPLICA_POLL_SECONDS"),
        ({"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:abc/x"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL"),
        ({"DATA_DIR": "/dev/null/x"}, "DATA_DIR"),
    ],
)
def test_a_wrong_setting_is_an_error_in_a_line_that_names_it(
    command: Command, settings: dict[str, str], named: str
) -> None:
    done = command("migrate", **settings)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_file_that_is_no_database_is_an_error_in_a_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "voltway.db").write_text("this is no database, but long enough to be taken for one" * 20)
    done = command("migrate")
    assert done.returncode == 1
    assert "not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_a_newer_version_asks_for_an_upgrade(command: Command, tmp_path: Path) -> None:
    command("migrate")
    connection = sqlite3.connect(tmp_path / "voltway.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    for name in ("migrate", "demo"):
        done = command(name)
        assert done.returncode == 1
        assert "upgrade VoltWay" in done.stderr


def test_any_folder_name_will_do(tmp_path: Path) -> None:
    folder = tmp_path / "what?x=1#a%20b"
    folder.mkdir()
    assert voltway(folder, "migrate").returncode == 0
    assert (folder / "voltway.db").is_file()


def test_a_database_that_does_not_answer_is_an_error_in_a_line(command: Command) -> None:
    done = command("migrate", DATABASE_URL=f"postgresql://voltway@127.0.0.1:{free_port()}/none")
    assert done.returncode == 1
    assert done.stderr.startswith("error: The database does not answer: ")
    assert "Traceback" not in done.stderr


def test_installations_live_side_by_side(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert voltway(tmp_path / name, "migrate").returncode == 0
    assert voltway(tmp_path / "one", "demo").returncode == 0
    assert "km" in voltway(tmp_path / "two", "near", "52.52", "13.405").stdout
    assert json.loads(voltway(tmp_path / "two", "near", "52.52", "13.405", "--json").stdout) == []
    assert len(json.loads(voltway(tmp_path / "one", "near", "52.52", "13.405", "--json").stdout)) == 10


_SCRIPT = """
import asyncio
from sqlalchemy import func, select
from app.db import open_session
from app.stations import Station, StationCreate

async def main():
    async with open_session() as session:
        session.add(Station(**StationCreate(title="mine", longitude=13.4, latitude=52.5).model_dump()))
    async with open_session() as session:
        print(await session.scalar(select(func.count()).select_from(Station)))

asyncio.run(main())
"""


def test_a_script_can_open_a_session_without_the_web_application(command: Command, tmp_path: Path) -> None:
    command("migrate")
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
    assert "mine" in command("near", "52.5", "13.4").stdout


def test_the_demo_network_comes_and_goes(command: Command) -> None:
    command("migrate")
    assert "2,000 sample stations" in command("demo", "--if-empty").stdout
    assert "not loaded" in command("demo", "--if-empty").stdout
    before = command("near", "-36.8", "174.7", "--json").stdout
    assert "2,000" in command("demo").stdout
    assert command("near", "-36.8", "174.7", "--json").stdout == before
    for station in json.loads(before):
        assert station["source"] == "demo"
        assert "[Sample]" in station["title"]
        assert "sample" in station["operator"]
    assert "2,000" in command("demo", "--remove").stdout
    assert json.loads(command("near", "-36.8", "174.7", "--json").stdout) == []


def test_near_prints_a_table_sorted_by_distance(demo_folder: Path) -> None:
    done = voltway(
        demo_folder, "near", "30.26", "-97.75", "--connector", "ccs1", "--connector", "nacs", "--min-power", "50",
        "--status", "available", "--limit", "4",
    )  # fmt: skip
    heading, *rows = [line for line in done.stdout.splitlines() if line.strip()]
    assert heading.split() == ["km", "status", "free", "connectors", "(kW)", "station"]
    first_lines, second_lines = rows[::2], rows[1::2]
    assert len(first_lines) == 4
    assert {row.split()[1] for row in first_lines} == {"available"}
    assert [float(row.split()[0]) for row in first_lines] == sorted(float(row.split()[0]) for row in first_lines)
    assert all("(sample), Sample Street" in row for row in second_lines)


def test_near_refuses_what_the_api_refuses(demo_folder: Path) -> None:
    done = voltway(demo_folder, "near", "95", "13")
    assert done.returncode == 2
    assert "latitude" in done.stderr
    assert voltway(demo_folder, "near", "52", "13", "--connector", "plug").returncode == 2


def test_an_unknown_source_is_refused_with_the_known_ones(command: Command) -> None:
    command("migrate")
    done = command("import", "tesla", "x")
    assert done.returncode == 1
    assert "afdc, bnetza, datex2, irve, irve-live, ocm" in done.stderr


def test_importing_prints_the_report_and_lists_the_rejected(command: Command, tmp_path: Path) -> None:
    command("migrate")
    broken = (DATA / "bnetza" / "2019-four-points.csv").read_bytes().replace(b"52,5", b"0,0").replace(b"13,", b"0,0")
    (tmp_path / "broken.csv").write_bytes(broken)
    done = command("import", "bnetza", str(tmp_path / "broken.csv"))
    assert done.returncode == 0
    assert "charging devices read = " in done.stdout
    assert "rejected: " in done.stdout
    where = Path(done.stdout.split("are listed in ")[1].splitlines()[0])
    with where.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(row["reason"] and row["why"] and row["fix"] and row["line"] for row in rows)


def test_a_file_cut_off_tells_what_was_stored_before_the_error(command: Command, tmp_path: Path) -> None:
    command("migrate")
    whole = (DATA / "ocm" / "sites.json").read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    done = command("import", "ocm", str(tmp_path / "cut.json"))
    assert done.returncode == 1
    assert "cut off" in done.stderr
    assert "POIs read = " in done.stdout
    assert "= 0 new" not in done.stdout


def test_a_file_of_another_format_is_refused(command: Command) -> None:
    command("migrate")
    done = command("import", "irve", str(DATA / "ocm" / "sites.json"))
    assert done.returncode == 1
    assert "header" in done.stderr
    done = command("import", "ocm", str(DATA / "irve" / "stations.csv"))
    assert done.returncode == 1
    assert "JSON" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_WORKERS", "0"),
        ("TASK_INTERVAL_SYNC", "nan"),
        ("TASK_INTERVAL_REFRESH", "0"),
        ("METRICS_ENABLED", "maybe"),
    ],
)
def test_a_setting_of_the_toolkit_that_is_wrong_is_named_in_one_line(command: Command, name: str, value: str) -> None:
    done = command("migrate", **{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: A setting is wrong. {name}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "secret"),
    [("postgresql://u:Hu@sh4@nohost.invalid/x", "sh4"), ("postgresql://u@127.0.0.1:1/x?password=Hush7", "Hush7")],
)
def test_no_part_of_a_password_is_shown(command: Command, url: str, secret: str) -> None:
    done = command("migrate", DATABASE_URL=url)
    assert done.returncode == 1
    assert secret not in done.stdout + done.stderr
