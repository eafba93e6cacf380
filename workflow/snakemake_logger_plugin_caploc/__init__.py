"""What a person sees of a run in a terminal: a live line for each running job, and one for all.

`profiles/default` names this logger. Snakemake's own messages scroll above the live lines. Jobs
write how far they are into the folder that the environment variable CAPLOC_PROGRESS names, one JSON
file each, named by their log file (`caploc.jobs.progress`), and are silent otherwise. Where the
messages do not go to a terminal (a log, CI), nothing of this happens: Snakemake's messages stay as
they are, and a job says in its log every ten seconds how far it is.

Only the interface is imported here: every call of Snakemake imports all loggers.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

__all__ = ["LogHandler"]


class LogHandler(LogHandlerBase):
    """Draws on a terminal; elsewhere it leaves the stream to Snakemake."""

    def __post_init__(self) -> None:
        settings = self.common_settings
        watched = sys.stderr.isatty() and not settings.dryrun and not settings.stdout
        self._screen = _Screen() if watched else None

    def handle(self, record: LogRecord) -> bool:
        """Take notice of every event, also of those that are not shown."""
        if self._screen is None:
            return False
        self._screen.note(record)
        return bool(super().handle(record))

    def emit(self, record: LogRecord) -> None:
        """Show a message above the live lines."""
        text = self.format(record)
        if text and self._screen is not None:
            self._screen.say(text, record.levelname)

    def close(self) -> None:
        """Take the live lines away."""
        if self._screen is not None:
            self._screen.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Whether Snakemake's own stream handler is replaced."""
        return self._screen is not None

    @property
    def writes_to_file(self) -> bool:
        """Never."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's own filter is used: `quiet` means the same."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's own messages are shown."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """It is not."""
        return False


class _Screen:
    """The live lines, redrawn four times a second until `close`."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._folder = Path(tempfile.mkdtemp(prefix="caploc-"))
        # Local jobs inherit these: they tell their progress here, and libraries draw no bars.
        os.environ |= {"CAPLOC_PROGRESS": str(self._folder), "TQDM_DISABLE": "1"}
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        self._jobs: dict[int, dict[str, Any]] = {}
        self._running: dict[int, float] = {}
        self._steps = (0, 0)
        self._started = time.monotonic()
        self._console = Console(stderr=True)
        self._live = Live(
            get_renderable=self.lines, console=self._console, transient=True, refresh_per_second=4,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start()

    def note(self, record: LogRecord) -> None:
        """Keep track of what runs."""
        event, facts = getattr(record, "event", None), record.__dict__
        if event == LogEvent.JOB_INFO:
            self._jobs[facts["jobid"]] = facts
        elif event == LogEvent.JOB_STARTED:
            self._running |= dict.fromkeys(facts["jobs"], time.monotonic())
        elif event == LogEvent.JOB_FINISHED:
            self._running.pop(facts["job_id"], None)
        elif event == LogEvent.JOB_ERROR:
            self._running.pop(facts["jobid"], None)
        elif event == LogEvent.PROGRESS:
            self._steps = (facts["done"], facts["total"])
        elif event == LogEvent.RUN_INFO:
            self._steps = (0, facts["stats"].get("total", 0))

    def say(self, text: str, level: str) -> None:
        """Print above the live lines."""
        style = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}.get(level)
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def lines(self) -> Any:
        """A line for each running job, oldest first, and one for the run."""
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True, overflow="ellipsis")
        now = time.monotonic()
        for number, since in sorted(self._running.items(), key=lambda item: item[1]):
            job = self._jobs.get(number, {})
            table.add_row(*self._line(job, now - since), style="cyan")
        done, total = self._steps
        if total:
            left = ""
            if done:
                gone = now - self._started
                left = f"about {_clock(gone / done * (total - done))} left"
            told = f"{_clock(now - self._started)} gone"
            table.add_row(f"{done} of {total} steps", told, left, style="bold")
        return table

    def _line(self, job: dict[str, Any], seconds: float) -> tuple[str, str, str]:
        name = " ".join([job.get("rule_name", "job"), *map(str, job.get("wildcards", {}).values())])
        told = self._told(job)
        if told is None:
            return name, f"{_clock(seconds)} gone", ""
        part = f"{told['done']}/{told['total']} {told['what']}"
        return name, part, f"{told['rate']}, {_clock(told['left'])} left"

    def _told(self, job: dict[str, Any]) -> dict[str, Any] | None:
        for log in job.get("log") or []:
            path = self._folder / str(log).replace("/", "~")
            try:
                found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            return found
        return None

    def close(self) -> None:
        """Stop drawing."""
        self._live.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
