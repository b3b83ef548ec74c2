"""A peer in its own environment, for ``engine_elsewhere.py``: a request a line in, an answer a line out.

  python engine_worker.py PEER MODEL PLACE

Nothing of this project is imported here. PLACE is for what the peer makes of the model's folder.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
BATCH = 32


class CTranslate2:
    """An encoder in 8 bits, and the head of a classifier in numpy."""

    packages = ("ctranslate2",)

    def __init__(self, model, place):
        import ctranslate2
        from safetensors.numpy import load_file
        from transformers import AutoTokenizer

        if not place.exists():
            ctranslate2.converters.TransformersConverter(str(model)).convert(str(place), quantization="int8")

        def encoder(streams):
            return ctranslate2.Encoder(
                str(place),
                compute_type="int8",
                inter_threads=streams,
                intra_threads=max(1, CORES // streams),
            )

        self.one, self.several = encoder(1), encoder(CORES)
        self.streams = ThreadPoolExecutor(CORES)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        weights = load_file(model / "model.safetensors")
        self.hidden, self.out = ([weights[f"{name}.{kind}"] for kind in ("weight", "bias")]
                                 for name in ("pre_classifier", "classifier"))  # fmt: skip
        self.names = json.loads((model / "config.json").read_text())["id2label"]

    def labels(self, texts, streams):
        """By length, 32 at a time; with several streams so many batches at once."""
        ids = self.tokenizer(texts, truncation=True)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        encoder = self.one if streams == 1 else self.several

        def run(batch):
            return self._classes(encoder, [ids[i] for i in batch])

        found = {}
        told = (map if streams == 1 else self.streams.map)(run, batches)
        for batch, classes in zip(batches, told, strict=True):
            found.update(zip(batch, classes, strict=True))
        return [self.names[str(found[i])] for i in range(len(texts))]

    def shape(self, ids, times):
        """The same batch, time after time."""
        for _ in range(times):
            self._classes(self.one, ids)

    def _classes(self, encoder, ids):
        import numpy as np

        first = np.array(encoder.forward_batch(ids).last_hidden_state)[:, 0]
        hidden = np.maximum(first @ self.hidden[0].T + self.hidden[1], 0)
        return (hidden @ self.out[0].T + self.out[1]).argmax(-1).tolist()


class SentenceTransformers:
    """Its OpenVINO backend as it is installed, which computes in bf16 where the processor has it."""

    packages = ("sentence-transformers", "optimum-intel", "openvino")

    def __init__(self, model, place):
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(model), backend="openvino", device="cpu", local_files_only=True)

    def embed(self, texts):
        """How many were embedded: vectors would take longer to tell."""
        return len(self.model.encode(texts, batch_size=BATCH, show_progress_bar=False))

    def vectors(self, texts):
        return self.model.encode(texts, batch_size=BATCH, show_progress_bar=False).tolist()


def main():
    name, model, place = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    # What libraries print goes where it does not disturb answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kind = {"ctranslate2": CTranslate2, "sentence-transformers": SentenceTransformers}[name]
    peer = kind(model, place)
    versions = ", ".join(f"{package} {version(package)}" for package in kind.packages)
    print(json.dumps(versions), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        found = getattr(peer, request.pop("do"))(**request)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
