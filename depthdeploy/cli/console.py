"""How a run looks in a terminal: one line a stage, a progress bar where it takes long, one paragraph for an error."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from depthdeploy.core.progress import Progress as Advance
from depthdeploy.core.progress import silent
from depthdeploy.core.report import StageRecord
from depthdeploy.errors import DepthdeployError

#: Where output is not a terminal, lines are as long as they need to be.
_WIDE = 160


def open_console(*, stderr: bool = False) -> Console:
    """A console that never folds tables to 80 columns when it is read by a file or a pipe."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_WIDE)


#: A bar appears when a stage takes longer than this, in seconds.
_PATIENCE = 2.0


def human_bytes(size: int) -> str:
    """A size as people read it: ``63.6 MiB``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def human_seconds(seconds: float) -> str:
    """A duration as people read it: ``0.42 s``, ``3 min 12 s``."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


class _Bar:
    """The bar of one stage; it appears after two seconds, on a terminal only, and leaves no trace."""

    def __init__(self, console: Console, label: str) -> None:
        self._console = console
        self._label = label
        self._since = time.monotonic()
        self._bar: Progress | None = None

    def advance(self, done: int, total: int) -> None:
        if self._bar is None:
            if time.monotonic() - self._since < _PATIENCE:
                return
            columns = (TextColumn("  {task.description:13}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(self._label, total=total or None)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total or None)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Terminal:
    """A listener that prints one line per finished stage.

    Args:
        console: where lines go.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: _Bar | None = None
        self._target = ""

    def started(self, stage: str, target: str) -> Advance:
        """Announce a target when it changes; a bar on a terminal."""
        if target and target != self._target:
            self._console.print(f"[bold]{target}[/bold]")
            self._target = target
        self._close()
        if not self._console.is_terminal:
            return silent
        self._bar = _Bar(self._console, stage)
        return self._bar.advance

    def finished(self, record: StageRecord, target: str) -> None:
        """The stage's line: name, time, size, detail."""
        self._close()
        took = "[dim]stored[/dim]" if record.cached else human_seconds(record.seconds)
        size = human_bytes(record.bytes) if record.bytes is not None else ""
        pad = " " * max(0, 11 - len("stored" if record.cached else took))
        self._console.print(
            f"  {record.name:13}{pad}{took}  {size:>10}  {record.detail}", highlight=False, soft_wrap=True
        )

    def remark(self, text: str) -> None:
        """A line of its own."""
        self._close()
        self._console.print(f"  [yellow]note[/yellow]  {text}", highlight=False, soft_wrap=True)

    def failed(self, target: str, error: Exception) -> None:
        """The error's paragraph, on standard error; the run goes on with the next target."""
        self._close()
        show_error(open_console(stderr=True), error, prefix=f"{target}: ")

    def close(self) -> None:
        """Take a bar away that an error or an interrupt left."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def show_error(console: Console, error: BaseException, *, prefix: str = "") -> None:
    """One paragraph: what, found, remedy, and the exit code."""
    if isinstance(error, DepthdeployError):
        heading = f"{error.title} error (exit code {error.exit_code})"
        remedy = f" {error.remedy}" if error.remedy else ""
        console.print(f"[bold red]{heading}:[/bold red] ", end="", highlight=False)
        console.print(f"{prefix}{error.what}{remedy}", highlight=False, markup=False, soft_wrap=True)
        return
    console.print("[bold red]Internal error (exit code 1):[/bold red] ", end="")
    console.print(
        f"{prefix}{type(error).__name__}: {error}. This is a fault of depthdeploy: run again with -v for the "
        "traceback and report it.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
