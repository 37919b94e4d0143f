"""The program as a user meets it: exit codes, one paragraph an error, nothing heavy for the light verbs."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthdeploy import __version__
from depthdeploy.cli.app import run
from depthdeploy.cli.console import open_console
from depthdeploy.cli.summary import show_steps
from depthdeploy.core.findings import Findings, StepRecord
from depthdeploy.errors import DepthdeployError, error_classes
from depthdeploy.pipeline.outcome import TargetResult

ROOT = Path(__file__).parents[2]


def _paragraph(captured: str) -> str:
    text = captured.strip()
    assert "Traceback" not in text
    assert "\n\n" not in text
    return text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"depthdeploy {__version__}"


def test_every_error_has_its_own_exit_code() -> None:
    codes = [cls.exit_code for cls in error_classes()]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes


def test_help_lists_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for cls in error_classes():
        if cls is not DepthdeployError:
            assert f"{cls.exit_code} {cls.title.lower()}" in shown


@pytest.mark.parametrize("arguments", [["compile"], ["compile", "--targte", "x"], ["no-such-verb"]])
def test_misuse_is_a_paragraph(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Usage error" in _paragraph(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--target", "openvin"], 2, ["no target 'openvin'", "openvino"]),
        (["--target", "onnxruntime:cpu-avx"], 2, ["no variant", "cpu-avx2"]),
        (["--target", "onnxruntime", "--precision", "int3"], 2, ["no precision", "int8"]),
        (["--target", "onnxruntime", "--model", "midas"], 2, ["no model 'midas'"]),
        (["--target", "onnxruntime", "--model", "pico", "--calib", "samples"], 2, ["no data set", "sample"]),
        (["--target", "onnxruntime", "--model", "pico", "--size", "abc"], 2, ["not a size"]),
        (["--target", "onnxruntime", "--model", "pico", "--size", "100x100"], 3, ["multiples of 32", "--size 96x96"]),
        (["--target", "onnxruntime", "--until", "nowhere"], 2, ["no stage", "calibrate"]),
        (["--target", "onnxruntime", "--model", "pico", "--observer", "mean"], 2, ["minmax"]),
        (["--target", "onnxruntime", "--model", "pico", "--recipe", "fats"], 2, ["no recipe 'fats'", "fast", ".toml"]),
        (["--target", "onnxruntime", "--model", "pico", "--recipe", "no.toml"], 2, ["no.toml", "cannot be read"]),
        (["--target", "onnxruntime", "--model", "pico", "--time-budget", "soon"], 2, ["'soon'", "30m"]),
        (["--target", "onnxruntime", "--model", "pico", "--device", "tpu"], 2, ["'tpu'", "auto, cpu, cuda"]),
        (["--target", "onnxruntime", "--onnx", "missing.onnx", "--output-kind", "metric-depth"], 3, ["missing.onnx"]),
        (["--target", "onnxruntime", "--model", "pico", "--mean", "0,0,0"], 2, ["--mean", "--onnx"]),
        (["--target", "onnxruntime", "--model", "pico", "--calib", "folder:nowhere"], 7, ["nowhere"]),
        (["--target", "onnxruntime", "--model", "pico", "--calib", "da2k"], 2, ["--data-root"]),
        (["--target", "onnxruntime", "--model", "depth-anything-v2-large"], 5, ["CC-BY-NC-4.0", "--accept-licence"]),
        (["--target", "onnxruntime", "--model", "pico", "--calib-count", "100000"], 7, ["100,000", "fewer"]),
    ],
)
def test_bad_input_is_a_paragraph_with_its_remedy(
    arguments: list[str], code: int, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["compile", *arguments, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    assert run(given) == code
    shown = _paragraph(capsys.readouterr().err)
    assert f"exit code {code}" in shown
    for word in words:
        assert word in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("loudness", [[], ["--quiet"], ["--json"]])
def test_a_limit_that_is_not_met_is_told_once(
    loudness: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for index in range(3):
        coarse = generator.integers(0, 255, size=(6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 60)).save(photos / f"{index}.png")
    places = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    asked = ["compile", "--model", "pico", "--target", "onnxruntime:cpu-avx2", "--calib", f"folder:{photos}"]
    assert run([*asked, "--max-drop", "ordinal=0", *places, *loudness]) == 10  # nothing is annotated
    captured = capsys.readouterr()
    assert "Accuracy error" not in captured.out
    assert captured.err.count("Accuracy error (exit code 10)") == 1
    assert list((tmp_path / "out").rglob("report.json"))


@pytest.mark.parametrize("verb", ["models", "targets", "calibrations", "recipes", "doctor"])
def test_listings_as_json(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([verb, "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(isinstance(row, dict) for row in rows)


def test_listings_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, word in (
        ("models", "midas-v21-small"),
        ("targets", "openvino:cpu-avx2"),
        ("calibrations", "da2k"),
        ("recipes", "hailo-study"),
    ):
        assert run([verb]) == 0
        assert word in capsys.readouterr().out


def test_a_recipe_is_shown_to_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "show", "best-w4"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["weight_bits"] == 4
    assert run(["recipes", "show", "bets"]) == 2
    assert "best" in _paragraph(capsys.readouterr().err)


def test_verbose_tells_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    steps = (StepRecord("clip", 0.5, "3 layers clipped"), StepRecord("adaround", 61.0, "learned", (), "cpu"))
    network = TargetResult("t", Path("nowhere"), None, None, Findings(steps=steps))
    show_steps(open_console(), network)
    assert capsys.readouterr().out.splitlines() == [
        "Step     clip: 3 layers clipped (0.50 s)",
        "Step     adaround: learned (1 min 1 s on cpu)",
    ]


def test_the_light_verbs_import_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "openvino", "PIL", "h5py"]
    program = (
        "import sys\n"
        "from depthdeploy.cli.app import run\n"
        "for verb in ('--help', 'targets', 'models', 'calibrations', 'recipes', 'recipes show best'):\n"
        "    run(verb.split())\n"
        f"print('heavy:', sorted(set({heavy!r}) & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip().splitlines()[-1] == "heavy: []"


def test_an_internal_error_is_named_as_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("depthdeploy.api.models", breaks)
    assert run(["models"]) == 1
    assert "fault of depthdeploy" in _paragraph(capsys.readouterr().err)


def test_ctrl_c_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("depthdeploy.api.models", interrupted)
    assert run(["models"]) == 130
    assert "Interrupted" in _paragraph(capsys.readouterr().err)


def test_a_chips_operators_are_listed_with_conditions_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    """The remedy of every refusal names this command."""
    assert run(["targets", "npu-4000", "--json"]) == 0
    listed = {one["operator"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["Conv"]["runs"] == "accelerator"
    assert any(words.endswith(", else slower") for words in listed["Resize"]["conditions"])
    assert all(one["source"] and one["remedy"] for one in listed.values())
    assert run(["targets", "rk3566"]) == 0
    assert "host" in capsys.readouterr().out
    assert run(["targets", "npu-400"]) == 2
    assert "npu-4000" in _paragraph(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["generate_command_line", "generate_passes"])
def test_a_page_of_reference_is_what_the_program_says(name: str) -> None:
    path = ROOT / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text(encoding="utf-8") == module.text(), f"run python {path.relative_to(ROOT)}"
