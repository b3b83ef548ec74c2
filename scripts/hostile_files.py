"""Build the folder of files that mean harm, which the tests then read.

python scripts/hostile_files.py            writes tests/hostile
python scripts/hostile_files.py FOLDER     writes FOLDER
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import hostile_files  # noqa: E402  # found by the line above
import hostile_h5  # noqa: E402  # likewise


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "hostile"
    hostile_files.build(folder)
    hostile_h5.build(folder)


if __name__ == "__main__":
    main()
