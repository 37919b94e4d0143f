"""Virtual environments of the peers, made once per requirement file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from quantizers.rows import UsageError

PEERS = Path(__file__).parent.parent / "peers"

#: Holds the digest of the requirements that an environment was made from.
_STAMP = "requirements.sha256"


def interpreter(name: str, folder: Path) -> Path:
    """The Python of a peer's environment, which is made first where it is missing or of other requirements.

    Args:
        name: of the requirement file in ``peers``, without suffix; empty for this very interpreter.
        folder: where the environments lie.

    Raises:
        UsageError: pip cannot install the requirements; its own message stands above.
    """
    if not name:
        return Path(sys.executable)
    requirements = PEERS / f"{name}.txt"
    place = folder / name
    python = place / "bin" / "python"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = place / _STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {requirements.name} into {place}", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run(install, check=True)
    except (OSError, subprocess.CalledProcessError) as cause:
        raise UsageError(f"the environment {place} cannot be made ({cause}); leave its tools out of --tools") from cause
    stamp.write_text(wanted, encoding="utf-8")
    return python
