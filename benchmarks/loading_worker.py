"""Optimum's classes in their own environment, for ``loading.py``: a request a line in, an answer a line out.

  python loading_worker.py PACKAGE

Nothing of this project is imported here.
"""

import json
import os
import sys
from importlib import import_module
from importlib.metadata import version

#: By package: the module with the classes, and what they are told when they load.
PLACES = {
    "optimum-onnx": ("optimum.onnxruntime", {"provider": "CPUExecutionProvider"}),
    "optimum-intel": ("optimum.intel", {"ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}),
}


def outputs(package, kind, folder, given):
    """What a class of this name gives, by the names of outputs."""
    import numpy as np

    place, settings = PLACES[package]
    model = getattr(import_module(place), kind).from_pretrained(folder, local_files_only=True, **settings)
    found = model(**{name: np.array(values, np.int64) for name, values in given.items()})
    return {name: np.asarray(values).tolist() for name, values in found.items()}


def main():
    package = sys.argv[1]
    # What libraries print goes where it does not disturb answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_module(PLACES[package][0])
    versions = ", ".join(f"{name} {version(name)}" for name in ("optimum", package, "transformers"))
    print(json.dumps(versions), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        request.pop("do")
        try:
            found = outputs(package, **request)
        except Exception as error:  # whatever keeps a folder from being loaded is what is to be told
            found = f"{type(error).__name__}: {error}"
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
