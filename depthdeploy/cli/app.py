"""The program: its verbs, its exit codes, and the one place where an error becomes a paragraph."""

from __future__ import annotations

import os
import sys
import traceback

import typer
from rich.console import Console

from depthdeploy import __version__
from depthdeploy.cli import cache, calibrations, compile, doctor, inspect, models, plan, recipes, targets
from depthdeploy.cli.console import open_console, show_error
from depthdeploy.errors import INTERRUPTED, DepthdeployError, StorageError, UsageError, error_classes

_NO_SPACE = 28  # errno.ENOSPC


def _exit_codes() -> str:
    known = ", ".join(f"{cls.exit_code} {cls.title.lower()}" for cls in error_classes() if cls is not DepthdeployError)
    return f"Exit codes: 0 done, 1 internal error, {known}, {INTERRUPTED} interrupted."


app = typer.Typer(
    name="depthdeploy",
    help="Compile monocular depth networks for edge chips, with proof of their quality.",
    epilog=_exit_codes(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compile")(compile.compile_command)
app.command("plan")(plan.plan_command)
app.command("models")(models.models_command)
app.command("targets")(targets.targets_command)
app.command("calibrations")(calibrations.calibrations_command)
app.add_typer(recipes.app, name="recipes")
app.command("inspect")(inspect.inspect_command)
app.command("doctor")(doctor.doctor_command)
app.add_typer(cache.app, name="cache")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"depthdeploy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Compile monocular depth networks for edge chips, with proof of their quality."""


def _verbose(arguments: list[str]) -> bool:
    return "-v" in arguments or "--verbose" in arguments


def run(arguments: list[str]) -> int:
    """Run the program on its arguments; the exit code."""
    errors = open_console(stderr=True)
    try:
        result = app(arguments, prog_name="depthdeploy", standalone_mode=False)
    except DepthdeployError as error:
        if _verbose(arguments):
            traceback.print_exc()
        show_error(errors, error)
        return error.exit_code
    except typer.TyperException as error:
        return _misused(errors, error)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(errors)
    except BrokenPipeError:  # the reader of a pipe left, as in `depthdeploy models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno == _NO_SPACE:
            full = StorageError(f"The disk is full: {error}.", "Free some space; finished stages are stored.")
            show_error(errors, full)
            return full.exit_code
        return _internal(errors, error, arguments)
    except Exception as error:  # the outermost frame: a fault of ours is named as one
        return _internal(errors, error, arguments)
    if result == INTERRUPTED:  # typer turns Ctrl-C into this code without a word
        return _interrupted(errors)
    return result if isinstance(result, int) else 0


def _interrupted(console: Console) -> int:
    console.print("Interrupted. Finished stages and steps are stored: the same command goes on from there.")
    return INTERRUPTED


def _misused(console: Console, error: typer.TyperException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help itself, already printed by typer
        return UsageError.exit_code
    show_error(console, UsageError(error.format_message(), "See depthdeploy --help."))
    return UsageError.exit_code


def _internal(console: Console, error: Exception, arguments: list[str]) -> int:
    if _verbose(arguments):
        traceback.print_exc()
    show_error(console, error)
    return 1


def main() -> None:
    """The entry point of the ``depthdeploy`` script."""
    sys.exit(run(sys.argv[1:]))
