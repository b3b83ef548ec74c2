"""Whether what ``optimize`` keeps of a trained model answers as fp32 does: by the gate as it is by default.

A pretrained encoder is fine-tuned on sentences of film reviews. Training rows that it did not learn from set
ranges and judge; the development set, which nobody has seen, is what is told here.
"""

from pathlib import Path
from typing import Any

import numpy as np
from engine_models import kept, optimize_once
from measuring import row, say, table

from distilbert import load

#: Rows to learn from, and others for the gate.
LEARNT, GATE = 16_000, 1_500


def trained(bench: Any) -> list[dict[str, Any]]:
    """Agreement with fp32, and accuracy."""
    # Here, as other parts' processes are to be without PyTorch.
    from study import at_hand, pretrained, rows_in, told

    from distilbert import Finetuner, Finetuning

    learnt, gate = (400, 150) if bench.quick else (LEARNT, GATE)
    rows = rows_in(at_hand("sst2.train"))
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]

    def write(folder: Path) -> None:
        say(f"fine-tune on {learnt} rows")
        recipe = Finetuning(epochs=1 if bench.quick else 2, max_length=128)
        Finetuner(pretrained(), recipe=recipe, progress=told).run(rows[:learnt], out=folder)

    folder = kept(f"trained{'-small' * bench.quick}", write)
    # Few rows cannot tell a hundredth.
    loose = {"agreement": 0.9, "metric_loss": 5.0} if bench.quick else {}
    optimize_once(folder, lambda: rows[learnt : learnt + gate], **loose)
    judged = rows_in(at_hand("sst2.dev"))
    texts, true = [own["text"] for own in judged], np.array([str(own["label"]) for own in judged])
    shown, labels = [], {}
    for runtime in ("onnx", "auto"):
        with load(folder, runtime=runtime) as engine:
            what = f"{engine.runtime} {engine.precision}"
            labels[runtime] = np.array([answer.label for answer in engine(texts)])
        shown.append(
            [what, *(f"{np.mean(labels[runtime] == other):.2%}" for other in (labels["onnx"], true))]
        )
    print(f"\n{len(texts)} sentences of sst2's development set, a model fine-tuned on {learnt} rows")
    table(("", "as in fp32", "accuracy"), shown)
    agreement = float(np.mean(labels["auto"] == labels["onnx"]))
    loss = 100 * float(np.mean(labels["onnx"] == true) - np.mean(labels["auto"] == true))
    case = f"ours, {shown[1][0]}: sst2 development set, beside fp32"
    return [
        row(case, "share_of_same_labels", agreement, "what is wanted", 0.99, target=1.0, more=True),
        row(case, "points_of_accuracy_kept", 100 - loss, "what is wanted", 99.5, target=1.0, more=True),
    ]
