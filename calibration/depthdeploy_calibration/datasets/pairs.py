"""``pairs:FILE``: your own photographs with annotated point pairs, in the DA-2K format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from depthdeploy.plugin import CalibrationError, Photo, UsageError
from depthdeploy_calibration.annotations import read_annotations, require_found, require_inside
from depthdeploy_calibration.file_set import FileSet, set_name
from depthdeploy_calibration.inspection import ImagePath, inspect


@dataclass(frozen=True, slots=True)
class Pairs:
    """Photographs named in a JSON file relative to it, each with pairs of points; the stratum is their folder."""

    id: str = "pairs"
    title: str = "your own photographs with point pairs, in the DA-2K format"
    usage: str = "pairs:FILE.json"

    def open(self, argument: str, data_root: Path | None) -> FileSet:
        """Read the annotations and check them against the photographs' headers.

        Args:
            argument: the JSON file, relative to the working directory, or else to ``--data-root``.
            data_root: where a relative file is looked for second.

        Raises:
            UsageError: no file is named.
            CalibrationError: the file or photographs are missing or damaged, or points lie outside.
        """
        if not argument:
            raise UsageError("pairs needs a file.", "Write pairs:FILE, the JSON file with the annotations.")
        file = Path(argument).expanduser()
        if not file.exists() and data_root is not None:
            file = data_root / file
        if not file.is_file():
            raise CalibrationError(f"{argument} is not a file.", "Check the path after pairs:.")
        annotations = read_annotations(file)
        images = {name: _image(name, file.parent) for name in annotations}
        require_found([name for name, path in images.items() if not path.is_file()], total=len(images), file=file)
        found = inspect(images, place=str(file))
        require_inside(annotations, found, file=file)
        photos = tuple(Photo(name, image.digest, name.rpartition("/")[0]) for name, image in found.items())
        return FileSet(set_name(self.id, str(file)), photos, images, annotations=annotations)


def _image(name: str, folder: Path) -> ImagePath:
    beside = folder / name
    # Names may begin with the name of the folder that the file is in.
    return beside if beside.is_file() else next((p for p in [folder.parent / name] if p.is_file()), beside)


plugin = Pairs()
