"""The command's frame: help, exit codes, and what becomes of errors."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from pipeline.cli import main
from pipeline.errors import ConfigError, FarmError


class Probe(click.Command):
    """A command that raises what it is given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("probe")
        self.error = error

    def invoke(self, ctx: click.Context) -> None:
        raise self.error


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch):
    """Makes `pipeline status` raise an error."""

    def install(error: BaseException) -> None:
        monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: Probe(error))

    return install


def test_help_lists_every_command_under_its_topic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    page = capsys.readouterr().out
    for entry in main.COMMANDS.values():
        topic, line = page.index(f"\n{entry.topic}:"), page.index(f"\n  {entry.name} ")
        assert topic < line
        assert entry.summary in page


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_each_command_of_the_table_is_there_and_has_a_help_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, _, attribute = main.COMMANDS[name].place.partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)
    assert main.run([name, "--help"]) == 0
    assert f"Usage: pipeline {name}" in capsys.readouterr().out


def test_help_answers_in_less_than_0_4_seconds() -> None:
    script = Path(sys.executable).with_name("pipeline")
    assert script.exists()

    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([script, "--help"], capture_output=True, check=True)
        return time.perf_counter() - start

    seconds()  # compiles the bytecode
    assert min(seconds() for _ in range(7)) < 0.4


def test_version_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pipeline 0.")


def test_a_command_that_is_nearly_right_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["sumbit"]) == 2
    assert "did you mean 'submit'?" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", "bash", "--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(ConfigError("wrong", path="a.yaml", line=3), 2), (FarmError("down"), 1)])
def test_an_expected_error_is_its_message_alone_with_its_exit_code(raising, capsys, error, code) -> None:
    raising(error)
    assert main.run(["status"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"pipeline: {error}\n"
    assert captured.out == ""


def test_debug_adds_the_traceback(raising, capsys) -> None:
    raising(FarmError("down"))
    assert main.run(["--debug", "status"]) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.endswith("pipeline: down\n")


def test_an_unexpected_error_is_one_line_that_points_to_debug(raising, capsys) -> None:
    raising(ZeroDivisionError("division by zero"))
    assert main.run(["status"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("pipeline: ZeroDivisionError: division by zero")
    assert "--debug" in err and err.count("\n") == 1


def test_ctrl_c_exits_with_130(raising, capsys) -> None:
    raising(KeyboardInterrupt())
    assert main.run(["status"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) == 0
    assert "_PIPELINE_COMPLETE" in capsys.readouterr().out


def test_completion_offers_the_commands() -> None:
    script = Path(sys.executable).with_name("pipeline")
    done = subprocess.run(
        [script],
        env={"_PIPELINE_COMPLETE": "bash_complete", "COMP_WORDS": "pipeline sta", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["plain,status"]
