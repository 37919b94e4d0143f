"""The stage ``compile``: a quantized graph becomes a job folder, a toolchain runs it, the result is checked."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx

import depthdeploy
from depthdeploy.core.model import CompiledArtifact, OnnxModel, QuantizedModel
from depthdeploy.core.target import Target
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.errors import ModelError, PluginError, ToolchainFailed
from depthdeploy.runtime.contract_file import CONTRACT, write_contract
from depthdeploy.runtime.job import OUT, CompileJob, CompileResult, JobTensor, digest, write_job
from depthdeploy.runtime.toolchain import CODE, InProcess, Toolchain

_MODEL = "model/model.onnx"

#: What the artifact is accompanied by and no driver reads.
_HOST = "host"

#: What the worker needs of the framework: nothing but the standard library, Python 3.8.
_WORKER_FILES = (
    "__init__.py",
    "errors.py",
    *(f"runtime/{name}.py" for name in ("__init__", "fields", "job", "worker")),
)


def compile_artifact(
    quantized: QuantizedModel, target: Target, *, folder: Path, jobs: Path, toolchain: Toolchain | None = None
) -> CompiledArtifact:
    """Compile a graph for a target.

    Args:
        quantized: the graph, its target variant and its precision.
        target: the light half of that target.
        folder: where the artifact's files go; it exists.
        jobs: where the job folder is made. It is removed after a success and stays after a failure, with its log.
        toolchain: where the driver runs; in this process by default.

    Raises:
        ToolchainMissing: the SDK is not installed; the job folder is complete and can be finished elsewhere.
        ToolchainFailed: the SDK reported an error, or its artifact has another input or output than the graph.
    """
    job_folder = write_job_folder(quantized, target, jobs=jobs)
    result = (toolchain or InProcess()).compile(job_folder)
    read = (_spec(result.input), _spec(result.output))
    wanted = (quantized.model.input, quantized.model.output)
    if read != wanted:
        raise ToolchainFailed(
            f"The artifact takes {read[0]} and gives {read[1]}, but the graph {wanted[0]} and {wanted[1]}.",
            f"The job is {job_folder}.",
        )
    _move(job_folder / OUT, folder, result)
    accompanying = {name: _moved(job_folder / _HOST / name, folder) for name in _accompanying(quantized.model)}
    shutil.rmtree(job_folder)
    return CompiledArtifact(
        folder=folder,
        files={**result.files, **accompanying},
        entry=result.entry,
        target=target.capabilities.target,
        variant=quantized.legal.variant,
        precision=quantized.precision,
        input=read[0],
        output=read[1],
        versions=dict(result.versions),
        seconds=result.seconds,
        contract=quantized.model.contract,
        depth=quantized.model.depth,
    )


def write_job_folder(quantized: QuantizedModel, target: Target, *, jobs: Path) -> Path:
    """A folder with everything a machine with the SDK needs: job, graph, worker and driver.

    Returns:
        The folder, named after the target, the variant, the precision and the graph's digest. What an earlier attempt
        left there is replaced.
    """
    able, legal, model = target.capabilities, quantized.legal, quantized.model
    name = f"{able.target}-{legal.variant}-{quantized.precision}-{model.sha256[:12]}"
    folder = jobs / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / _MODEL).parent.mkdir(parents=True)
    shutil.copyfile(model.path, folder / _MODEL)
    files = [_MODEL]
    for location in _external(folder / _MODEL):
        files.append(f"model/{location}")
        shutil.copyfile(model.path.parent / location, folder / "model" / location)
    accompany(model, folder / _HOST)
    files += [f"{_HOST}/{name}" for name in _accompanying(model)]
    _copy_code(folder / CODE, able.driver)
    job = CompileJob(
        target=able.target,
        variant=legal.variant,
        precision=quantized.precision,
        driver=able.driver,
        sdk=able.sdk,
        install=able.install,
        model=_MODEL,
        files={path: digest(folder / path) for path in files},
        settings=dict(target.settings(legal.variant, quantized.precision)),
        input=_tensor(model.input),
        output=_tensor(model.output),
    )
    write_job(folder, job)
    return folder


def accompany(model: OnnxModel, folder: Path) -> dict[str, str]:
    """Write what belongs beside an artifact of a graph: its contract, and the graph of the host's tail.

    Returns:
        Name -> SHA-256.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = (model.input, model.output)
    write_contract(folder / CONTRACT, tensors=tensors, contract=model.contract, depth=model.depth)
    if model.depth.tail is not None and model.tail is not None:
        shutil.copyfile(model.tail, folder / model.depth.tail.file)
    return {name: digest(folder / name) for name in _accompanying(model)}


def _accompanying(model: OnnxModel) -> tuple[str, ...]:
    return (CONTRACT,) if model.depth.tail is None else (CONTRACT, model.depth.tail.file)


def _moved(source: Path, folder: Path) -> str:
    """Move a file into a folder; its digest."""
    found = digest(source)
    shutil.move(source, folder / source.name)
    return found


def _external(path: Path) -> Iterator[str]:
    """The files beside a graph that hold its large tensors."""
    graph = onnx.load(path, load_external_data=False).graph
    entries = (entry for tensor in graph.initializer for entry in tensor.external_data if entry.key == "location")
    for location in dict.fromkeys(entry.value for entry in entries):
        if Path(location).name != location:
            raise ModelError(f"The graph keeps tensors in {location!r}.", "Keep them in a file beside it.")
        yield location


def _copy_code(code: Path, driver: str) -> None:
    """The worker and the driver as source, so that the job runs where depthdeploy is not installed."""
    framework = Path(depthdeploy.__file__).parent
    for name in _WORKER_FILES:
        _copy(framework / name, code / "depthdeploy" / name)
    found = importlib.util.find_spec(driver)
    if found is None or found.origin is None:
        raise PluginError(f"The driver {driver} is not installed.", "Reinstall the target's plug-in.")
    parts = driver.split(".")
    _copy(Path(found.origin), code.joinpath(*parts).with_suffix(".py"))
    for depth in range(1, len(parts)):
        code.joinpath(*parts[:depth], "__init__.py").touch()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _move(out: Path, folder: Path, result: CompileResult) -> None:
    for name in result.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(out / name, folder / name)


def _tensor(spec: TensorSpec) -> JobTensor:
    return JobTensor(spec.name, spec.dtype, spec.shape)


def _spec(tensor: JobTensor) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.dtype, tensor.shape)
