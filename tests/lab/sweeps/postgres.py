"""A PostgreSQL server of the tests' own, from Debian's package."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fake_worker import await_true

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@contextmanager
def server() -> Iterator[str]:
    """The address of a server that ends with this, and leaves nothing."""
    place = Path(tempfile.mkdtemp(prefix="perceptrons"))
    run_as: list[str | Path] = []
    if os.getuid() == 0:  # whom PostgreSQL refuses to serve
        shutil.chown(place, "nobody")
        run_as = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    programs, nothing = PROGRAMS[-1], subprocess.DEVNULL
    data: list[str | Path] = ["-D", place / "data"]
    make = [*run_as, programs / "initdb", *data]
    make += ["-A", "trust", "-U", "tests", "--no-sync"]
    subprocess.run(make, cwd=place, stdout=nothing, check=True)
    serve = [*run_as, programs / "postgres", *data, "-k", place]
    process = subprocess.Popen(
        [*serve, "-c", "listen_addresses=", "-c", "fsync=off"], cwd=place, stderr=nothing
    )
    try:
        ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", place]
        await_true(lambda: subprocess.run(ready).returncode == 0)
        yield f"postgresql://tests@/postgres?host={place}"
    finally:
        process.send_signal(signal.SIGINT)  # which does not wait for those that are connected
        process.wait()
        shutil.rmtree(place)
