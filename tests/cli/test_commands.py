"""The command line, as a user meets it: what is printed, where it goes, and the exit status."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from small_files import sentences, write_table, write_teacher, write_texts

from distilbert import BertForSequenceClassification
from distilbert.cli.display import Display
from distilbert.cli.main import main, parser

COMMANDS = ("quickstart", "pretrain", "distill", "shrink", "finetune", "evaluate", "predict", "info")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a teacher, texts, tables, and the classifier that the commands make of them."""
    root = tmp_path_factory.mktemp("work")
    write_teacher(root / "bert")
    texts, labels = sentences(300, seed=1)
    write_texts(root / "texts.txt", texts)
    write_table(root / "train.csv", texts, labels)
    write_table(root / "test.csv", *sentences(80, seed=2))
    run = ["finetune", "--model", str(root / "bert"), "--train", str(root / "train.csv"), "--quiet"]
    assert main([*run, "--steps", "60", "--learning-rate", "1e-3", "--out", str(root / "classifier")]) == 0
    return root


@pytest.fixture
def here(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with the shared one's contents in reach by their short names."""
    for path in work.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_is_for_and_shows_an_example(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert f"  distilbert {command}" in said
    for flag in ("--json", "--quiet"):
        assert flag in said


def test_every_flag_is_explained() -> None:
    for action in parser()._subparsers._group_actions[0].choices.values():
        for argument in action._actions:
            assert argument.help, f"{action.prog} {argument.option_strings or argument.dest}"


def test_version(capsys: pytest.CaptureFixture) -> None:
    import distilbert

    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"distilbert {distilbert.__version__}\n"


def test_predict_prints_a_line_a_text(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["predict", "--model", "classifier", "soup cheese dinner", "ball goal team", "--quiet"]) == 0
    first, second = (line.split("\t") for line in lines_of(capsys.readouterr().out))
    assert (first[0], first[2]) == ("food", "soup cheese dinner")
    assert (second[0], second[2]) == ("sport", "ball goal team")
    assert 1 / 3 < float(first[1]) <= 1


@pytest.mark.parametrize("name", ["texts.txt", "test.csv"])
def test_predict_reads_files(name: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["predict", "--model", "classifier", "--file", name, "--json", "--quiet"]) == 0
    answers = [json.loads(line) for line in lines_of(capsys.readouterr().out)]
    assert len(answers) == (300 if name == "texts.txt" else 80)
    assert all(sum(answer["scores"].values()) == pytest.approx(1) for answer in answers)
    assert all(answer["label"] == max(answer["scores"], key=answer["scores"].get) for answer in answers)


def test_predict_reads_standard_input_and_pipes_on(here: Path) -> None:
    command = [sys.executable, "-m", "distilbert", "predict", "--model", "classifier", "-"]
    piped = subprocess.run(
        command, input=b"soup\n\n  ball \n", capture_output=True, check=True, env={**os.environ}
    )
    assert [line.split("\t")[2] for line in lines_of(piped.stdout.decode())] == ["soup", "ball"]
    refused = subprocess.run(command, input=b"soup\ncaf\xe9\n", capture_output=True, check=False)
    assert refused.returncode == 2
    assert b"0xe9 at line 2" in refused.stderr
    assert b"Traceback" not in refused.stderr


def test_long_texts_are_counted_aloud(here: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["predict", "--model", "classifier", "ball " * 40, "ball"]
    for flags, what in (
        ([], "read in windows"),
        (["--on-long", "truncate"], "cut to that"),
        (["--backend", "torch"], "cut to that"),
        (["--backend", "torch", "--on-long", "truncate"], "cut to that"),
    ):
        assert main([*command, *flags]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert f"1 texts were longer than 32 tokens and were {what}." in said
    assert main([*command, "--on-long", "error"]) == 2
    assert "at most 32 tokens" in " ".join(capsys.readouterr().err.split())


def test_predict_loads_no_framework(here: Path) -> None:
    code = (
        "import sys; from distilbert.cli.main import main; "
        "main(['predict', '--model', 'classifier', 'soup', '--quiet', *sys.argv[1:]]); "
        "print('torch' in sys.modules)"
    )
    for flags, loaded in (([], "False"), (["--device", "cpu"], "False"), (["--backend", "torch"], "True")):
        said = subprocess.run(
            [sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True
        )
        answer, last = said.stdout.splitlines()
        assert answer.split("\t")[0] == "food"
        assert last == loaded


def test_evaluate_and_info(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "--model", "classifier", "--data", "test.csv", "--quiet", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["accuracy"]["low"] <= scores["accuracy"]["value"] <= scores["accuracy"]["high"]
    assert scores["rows"] == 80
    assert main(["evaluate", "--model", "classifier", "--data", "test.csv", "--quiet"]) == 0
    assert f"{scores['accuracy']['value']:.4f}" in capsys.readouterr().out

    assert main(["info", "classifier"]) == 0
    said = capsys.readouterr().out
    for part in ("BertForSequenceClassification", "food, music, sport", "model.safetensors", "finetune"):
        assert part in said
    assert main(["info", "classifier", "--json"]) == 0
    model = BertForSequenceClassification.from_pretrained("classifier")
    assert json.loads(capsys.readouterr().out)["parameters"] == model.num_parameters()


def test_info_needs_no_framework(here: Path) -> None:
    code = (
        "import sys; from distilbert.cli.main import main; main(['info', 'classifier']); "
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    "command",
    [
        "pretrain --model bert --text texts.txt --out new",
        "distill --teacher bert --text texts.txt --layers 2 --out new",
        "finetune --model bert --train train.csv --out new",
    ],
)
def test_a_dry_run_plans_and_writes_nothing(command: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    before = sorted(os.listdir())
    assert main([*command.split(), "--dry-run", "--quiet", "--json", "--max-length", "32"]) == 0
    plan = json.loads(capsys.readouterr().out)
    # Three passes over 300 texts in batches of 32; a tenth is held out, of hidden words a twentieth.
    assert plan["steps"] == (25 if "finetune" in command else 27)
    assert plan["expected_seconds"] > 0
    assert sorted(os.listdir()) == before
    assert main([*command.split(), "--dry-run", "--quiet", "--max-length", "32"]) == 0
    assert "Nothing was written." in capsys.readouterr().out


def test_text_out_of_several_files_and_folders(here: Path, capsys: pytest.CaptureFixture) -> None:
    (here / "more").mkdir()
    (here / "more" / "a.txt").write_text("the team in the field with the ball and the goal of a match\n" * 5)
    run = ["pretrain", "--model", "bert", "--out", "new", "--steps", "1", "--quiet"]
    assert main([*run, "--text", "texts.txt", "more", "test.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"]["texts"] == 300 + 5 + 80
    assert main([*run, "--text", "texts.txt", "a file.txt", "--dry-run"]) == 2
    assert "must exist. Received: a file.txt" in capsys.readouterr().err
    (here / "a file.txt").write_text("the team in the field with the ball and the goal of a match\n")
    assert main([*run, "--text", "texts.txt", "a file.txt", "--force"]) == 0
    assert "--text texts.txt 'a file.txt' --layers 3" in capsys.readouterr().out


def test_layers_by_count_or_by_name(here: Path, capsys: pytest.CaptureFixture) -> None:
    for flag, layers in (("2", 2), ("3,1,0", 3)):
        assert main(["shrink", "--teacher", "bert", "--layers", flag, "--out", f"cut{layers}", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["n_layers"] == layers


def test_students_of_other_shapes(here: Path, capsys: pytest.CaptureFixture) -> None:
    sizes = {"n_layers": 2, "dim": 16, "n_heads": 4, "hidden_dim": 20, "max_position_embeddings": 24}
    flags = "--layers 2 --take first --dim 16 --heads 4 --hidden-dim 20 --positions 24"
    for init in ("slice", "pca", "random"):
        command = f"shrink --teacher bert {flags} --init {init} --seed 3 --out {init} --json"
        assert main(command.split()) == 0
        said = json.loads(capsys.readouterr().out)
        assert {name: said[name] for name in sizes} == sizes
        facts = json.loads((here / init / "distilbert.json").read_text())
        assert facts["made_by"] == "shrink"
        assert (facts["init"], facts["teacher_layers"]) == (init, [] if init == "random" else [0, 1])
    assert main("shrink --teacher bert --layers 2 --dim 16 --text texts.txt --out seen --quiet".split()) == 0
    assert main("shrink --teacher bert --layers 2 --dim 16 --out unseen --quiet".split()) == 0
    seen, unseen = (Path(name, "model.safetensors").read_bytes() for name in ("seen", "unseen"))
    assert seen != unseen
    capsys.readouterr()
    assert main("shrink --teacher bert --layers 1,1,3 --out deeper".split()) == 0
    assert capsys.readouterr().out == "deeper: a student of 3 layers, 32 wide, untrained.\n"


def test_progress_is_told_where_there_is_no_terminal(
    here: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILBERT_CACHE", str(here / "cache"))
    command = "distill --teacher bert --text texts.txt --layers 1 --out new --steps 3 --max-length 32"
    assert main(command.split()) == 0
    said = capsys.readouterr()
    assert lines_of(said.err) == ["start PyTorch …", "tokenise the text …", "distil …"]
    assert main([*command.split(), "--force", "--quiet", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out)["training"]["steps"] == 3


#: Command, what is said, and the exit status. Each names the rule, what was there, and the remedy.
REFUSED = {
    "missing file": ("finetune --model bert --train none.csv --out new", "must exist. Received: none.csv"),
    "empty file": (
        "pretrain --model bert --text empty.txt --out new",
        "at least one text. Received: empty.txt",
    ),
    "no column": (
        "finetune --model bert --train wrong.csv --out new",
        "Received: columns words, label in wrong.csv. Name the column that holds the text: --text-column",
    ),
    "label never seen": (
        "finetune --model bert --train train.csv --eval unseen.csv --out new",
        "Received: chess in the evaluation data, first in row 2",
    ),
    "no config": ("info nothing", "must hold config.json. Received: nothing, which is empty"),
    "no folder": ("predict --model nowhere x", "must be a local folder, in the cache, or on a hub"),
    "no weights": ("predict --model weightless x", "must hold model.safetensors or pytorch_model.bin"),
    "truncated": ("predict --model truncated x", "must be a whole safetensors file. Received: truncated"),
    "shapes": ("predict --model misfit x", "should be [3, 30]"),
    "indivisible": (
        "predict --model indivisible x",
        "num_attention_heads must divide hidden_size. Received: num_attention_heads=4, hidden_size=33",
    ),
    "taken": (
        "shrink --teacher bert --layers 1 --out classifier",
        "already holds a model. Choose another folder, or add --force",
    ),
    "not a model": (
        "shrink --teacher bert --layers 1 --out mine --force",
        "files that are not a model's",
    ),
    "not UTF-8": ("pretrain --model bert --text latin.txt --out new", "0xe9 at line 2, byte 10"),
    "no text": ("predict --model classifier", "either as words or from a file. Received: neither"),
    "no such layers": (
        "distill --teacher bert --text texts.txt --layers 9 --out new",
        "9 layers from a teacher of 4. Choose from 1 to 4",
    ),
    "layers are none": (
        "distill --teacher bert --text texts.txt --layers x --out new",
        "Received: x. Give 3, or 0,2,4",
    ),
    "a way to take layers that there is not": (
        "shrink --teacher bert --layers 2 --take middle --out new",
        "spread, first, last, every-other. Received: 'middle'",
    ),
    "layers named and taken": (
        "shrink --teacher bert --layers 0,2 --take last --out new",
        "Received: 0, 2, and to take 'last'",
    ),
    "wider than its teacher": (
        "shrink --teacher bert --layers 2 --dim 64 --out new",
        "nowhere wider than it. Received: dim=64 of a teacher's 32",
    ),
    "heads that do not divide": (
        "shrink --teacher bert --layers 2 --dim 16 --heads 3 --out new",
        "n_heads must divide dim. Received: n_heads=3, dim=16",
    ),
    "heads that grow": (
        "shrink --teacher bert --layers 2 --dim 24 --heads 2 --out new",
        "Received: n_heads=2, dim=24, heads of 12 in place of 8",
    ),
    "layers as they are, and narrower": (
        "shrink --teacher bert --layers 2 --dim 16 --init layers --out new",
        "has its teacher's sizes. Received: dim=16",
    ),
    "no such beginning": (
        "shrink --teacher bert --layers 2 --init svd --out new",
        "one of the ways layers, slice, pca, random. Received: 'svd'",
    ),
    "more layers than there are": (
        "shrink --teacher bert --layers 5 --out new",
        "Choose from 1 to 4, or name layers, of which one may stand twice",
    ),
    "no such text to cut by": (
        "shrink --teacher bert --layers 2 --dim 16 --text nowhere.txt --out new",
        "A data file must exist. Received: nowhere.txt",
    ),
    "no such text, and no need of it": (
        "shrink --teacher bert --layers 2 --text nowhere.txt --out new",
        "A data file must exist. Received: nowhere.txt",
    ),
    "text to cut by that is none": (
        "shrink --teacher bert --layers 2 --dim 16 --text latin.txt --out new",
        "0xe9 at line 2, byte 10",
    ),
    "no such device": ("predict --model classifier x --device tpu9", "must be one of this machine"),
    "no such recipe": (
        "distill --teacher bert --text texts.txt --layers 1 --out new --recipe no",
        "A recipe is one of default",
    ),
    "not fine-tuned": ("predict --model bert x", "Only a fine-tuned folder can classify"),
    "no finite rate": (
        "finetune --model bert --train train.csv --out new --learning-rate inf",
        "learning_rate must be a number",
    ),
    "endless": ("finetune --model bert --train train.csv --out new --epochs inf", "epochs must be a number"),
    "a seed that is none": (
        "finetune --model bert --train train.csv --out new --seed 100000000000000000000000",
        "seed must be a whole number",
    ),
    "no such seed": ("evaluate --model classifier --data test.csv --seed -1", "seed must be a whole number"),
    "no threads": ("predict --model classifier x --threads 0", "--threads must be a whole number"),
    "a runtime of a framework": (
        "predict --model classifier x --backend torch --runtime onnx",
        "Received: --backend torch, --runtime onnx. Leave --backend out.",
    ),
    "windows of a framework": (
        "predict --model classifier x --device cuda --on-long window",
        "Received: --device cuda, --on-long window. Leave --device out.",
    ),
    "a device that computes nothing": ("predict --model classifier x --device meta", "computes nothing here"),
    "too wide": ("predict --model wide x", "should be [3, 1000000]"),
    "too many words": ("predict --model wordy x", "[1000000000, "),
    "too deep": ("predict --model deep x", "must be a whole number of at most 1024"),
    "labels with gaps": ("predict --model gaps x", "id2label must number the labels from 0 on"),
    "a taken name": ("predict --model named x", "no other use for. Received: check"),
    "no architecture": ("info unnamed", "architectures must be a list of names"),
    "a tokenizer without a length": ("predict --model endless x", "model_max_length must be a number"),
    "a tokenizer without a token": ("predict --model tokenless x", "object with its content"),
    "facts of a wrong length": ("predict --model long x", "distilbert.json must hold"),
    "facts of a wrong task": ("info taskless", "distilbert.json must hold"),
    "facts of wrong labels": ("info unlabelled", "distilbert.json must hold"),
    "a flag that is text": ("predict --model texty x", "do_lower_case must be true or false"),
    "a prefix that is none": ("predict --model prefixed x", "wordpieces_prefix must be a string"),
    "names that are none": ("predict --model nameless x", "model_input_names must be a list of names"),
    "an empty vocabulary": ("predict --model wordless x", "which is empty"),
    "a normaliser of nobody's": ("predict --model evil x", "that the tokenizers library takes"),
    "another frame": ("predict --model framed x", "frame texts as BERT does"),
    "an id far away": ("predict --model far x", "must hold a WordPiece vocabulary"),
    "an id that is no number": ("predict --model endlessid x", "must be a whole tokenizer file"),
    "one number for an answer": ("predict --model regression x", "answers with one of at least two labels"),
    "labels of one name": ("predict --model twins x", "answers with one of at least two labels"),
    "a label without a name": ("predict --model noname x", "id2label must be a dictionary from label ids"),
    "taken, when only planned": (
        "finetune --model bert --train train.csv --out classifier --dry-run",
        "already holds a model",
    ),
    "steps": (
        "finetune --model bert --train train.csv --out new --steps 0",
        "steps must be a whole number",
    ),
}


#: Folders that differ from a good one in one field: the file, the field, what it holds.
WRONG_FIELDS = {
    "wide": ("config.json", "hidden_size", 10**6),
    "wordy": ("config.json", "vocab_size", 10**9),
    "deep": ("config.json", "num_hidden_layers", 10**9),
    "gaps": ("config.json", "id2label", {"0": "a", "2": "b", "5": "c"}),
    "named": ("config.json", "check", 1),
    "unnamed": ("config.json", "architectures", 5),
    "endless": ("tokenizer_config.json", "model_max_length", "x"),
    "tokenless": ("tokenizer_config.json", "cls_token", {"a": 1}),
    "long": ("distilbert.json", "max_length", "x"),
    "taskless": ("distilbert.json", "task", []),
    "unlabelled": ("distilbert.json", "task", {"labels": [1, 2]}),
    "texty": ("tokenizer_config.json", "do_lower_case", "false"),
    "prefixed": ("tokenizer_config.json", "wordpieces_prefix", 5),
    "nameless": ("tokenizer_config.json", "model_input_names", 7),
    "evil": ("tokenizer.json", "normalizer", {"type": "Evil"}),
    "framed": ("tokenizer.json", "post_processor", {"type": "RobertaProcessing"}),
    "far": ("tokenizer.json", "model", {"type": "WordPiece", "vocab": {"[UNK]": 0, "x": 10**9}}),
    "endlessid": ("tokenizer.json", "added_tokens", [{"id": float("inf"), "content": "x"}]),
    "regression": ("config.json", "problem_type", "regression"),
    "twins": ("config.json", "id2label", {"0": "a", "1": "a", "2": "a"}),
    "noname": ("config.json", "id2label", {"0": "a", "1": None, "2": "c"}),
}


@pytest.fixture
def broken(here: Path) -> Path:
    """Beside the good files, one of each broken kind."""
    import shutil

    (here / "empty.txt").touch()
    (here / "latin.txt").write_bytes(b"plain\ncaf\xe9\n")
    (here / "wrong.csv").write_text("words,label\nx,y\n")
    (here / "unseen.csv").write_text("text,label\nball,sport\ncheck mate,chess\n")
    (here / "nothing").mkdir()
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("years of work")
    for name in ("weightless", "truncated", "misfit", "indivisible"):
        shutil.copytree(here / "classifier", here / name)
    (here / "weightless" / "model.safetensors").unlink()
    whole = (here / "truncated" / "model.safetensors").read_bytes()
    (here / "truncated" / "model.safetensors").write_bytes(whole[:-1000])
    for name, (file, field, value) in WRONG_FIELDS.items():
        shutil.copytree(here / "classifier", here / name)
        content = json.loads((here / name / file).read_text())
        (here / name / file).write_text(json.dumps({**content, field: value}))
    shutil.copytree(here / "classifier", here / "wordless")
    (here / "wordless" / "tokenizer.json").unlink()
    (here / "wordless" / "vocab.txt").write_text("")
    for name, size in (("misfit", 30), ("indivisible", 33)):
        config = json.loads((here / name / "config.json").read_text())
        config["hidden_size"] = size
        config["num_attention_heads"] = 3 if name == "misfit" else 4
        (here / name / "config.json").write_text(json.dumps(config))
    return here


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_input_is_one_sentence_and_costs_nothing(
    name: str, broken: Path, capsys: pytest.CaptureFixture
) -> None:
    command, sentence = REFUSED[name]
    before = snapshot(broken)
    assert main([*command.split(), "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(lines_of(said.err)) == 1
    assert said.err.startswith("distilbert: ")
    assert sentence in said.err
    assert re.search(r"\. Received: .+\. \S+", said.err), "rule, received, remedy"
    assert snapshot(broken) == before


def test_torchrun_is_told_why(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """As torch reads such a file, which it shows behind a traceback of its own."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    assert main(["info", "nowhere"]) == 2
    failure = ProcessFailure(0, 1, 2, str(tmp_path / "error.json"))
    assert f"traceback : {capsys.readouterr().err.removeprefix('distilbert: ').strip()}\n" in str(
        ChildFailedError("distilbert", {0: failure})
    )


def test_a_disk_that_fills(here: Path, small_disk: object, capsys: pytest.CaptureFixture) -> None:
    assert main("shrink --teacher bert --layers 1 --out kept".split()) == 0
    before = snapshot(here / "kept")
    capsys.readouterr()
    with small_disk():
        assert main("shrink --teacher bert --layers 4 --out kept --force".split()) == 2
    assert "with room for it" in capsys.readouterr().err
    assert snapshot(here / "kept") == before
    assert not [name for name in os.listdir() if "partial" in name or "old" in name]


def test_a_loss_that_is_not_finite_exits_with_one(here: Path, capsys: pytest.CaptureFixture) -> None:
    (here / "wild.toml").write_text(
        "learning_rate = 1e30\nmax_grad_norm = 1e30\nprecision = 'fp32'\nsteps = 60\n"
    )
    command = "finetune --model bert --train train.csv --out new --recipe wild.toml --quiet"
    assert main(command.split()) == 1
    said = capsys.readouterr().err
    assert re.search(r"must stay finite. Received: at step \d+: labels .*; gradient norm", said)
    assert "No checkpoint was kept yet" in said
    assert not (here / "new").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_without_a_trace(number: int, status: int, here: Path) -> None:
    command = "distill --teacher bert --text texts.txt --layers 2 --out new --steps 100000 --max-length 32"
    process = subprocess.Popen(
        [sys.executable, "-m", "distilbert", *command.split()], stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("distil …"):
            break
    time.sleep(0.5)
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in rest
    assert not [name for name in os.listdir() if name.startswith(("new", ".new"))]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_library_swallows_is_heard_later(
    number: int, status: int, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(args: object, display: Display) -> None:
        with suppress(BaseException):
            signal.raise_signal(number)
        display.progress("go on", 1, 2, {})
        raise AssertionError("it went on")

    before = signal.getsignal(number)
    monkeypatch.setattr("distilbert.cli.info.run", run)
    try:
        found = main(["info", "classifier"])
    except SystemExit as stopped:
        found = stopped.code
    assert found == status
    assert signal.getsignal(number) == before


@pytest.fixture
def hearing() -> Iterator[None]:
    """A shell starts what it puts into the background deaf to Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("after", [0.1, 0.25, 0.5, 1.0])
def test_ctrl_c_while_it_loads(after: float, here: Path, hearing: None) -> None:
    """At any moment after Python itself has started, also within the imports of C code."""
    command = "distill --teacher bert --text texts.txt --layers 2 --out new --steps 100000 --max-length 32"
    for more in range(10):
        process = subprocess.Popen(
            [sys.executable, "-m", "distilbert", *command.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(after + 0.1 * more)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        if process.returncode != -signal.SIGINT:  # on a busy machine Python may not have started yet
            break
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped. Nothing was overwritten."
    assert "Traceback" not in said
    assert not [name for name in os.listdir() if name.startswith(("new", ".new"))]


def test_an_output_that_is_full(here: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no device that is always full")
    for command in ("info classifier", "predict --model classifier soup --quiet"):
        with open("/dev/full", "w") as full:
            run = subprocess.run(
                [sys.executable, "-m", "distilbert", *command.split()],
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
        assert run.returncode == 2
        assert b"with room for them. Received: No space left on device" in run.stderr
        assert b"Traceback" not in run.stderr


def test_a_terminal_of_another_alphabet(here: Path) -> None:
    command = [sys.executable, "-m", "distilbert", "predict", "--model", "classifier", "caf\u00e9", "--quiet"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    said = subprocess.run(command, capture_output=True, check=True, env=environment).stdout
    assert said.rstrip().endswith(rb"caf\xe9")


def test_a_reader_that_leaves_is_no_error(here: Path) -> None:
    command = (
        f"{sys.executable} -m distilbert predict --model classifier --file texts.txt --quiet | head -n 1"
    )
    said = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert len(lines_of(said.stdout)) == 1
    assert "Traceback" not in said.stderr
    assert "Broken" not in said.stderr
