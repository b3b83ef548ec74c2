"""Tiny models of other families, as ``transformers`` saves them."""

from pathlib import Path
from typing import Any

import torch
from small_files import WORDS, sentences

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 40, "initializer_range": 0.15,
}  # fmt: skip


def byte_tokenizer() -> Any:
    """Byte-level BPE with RoBERTa's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(sentences(300, seed=7)[0], trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip


def space_tokenizer() -> Any:
    """A SentencePiece vocabulary with DeBERTa's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    words = [f"\u2581{word}" for word in WORDS[5:-6]]
    letters = ["\u2581", *map(chr, range(ord("a"), ord("z") + 1)), "or", "ll", ",", "."]
    pieces = [*((token, 0.0) for token in special), *((word, -4.0) for word in words)]
    backend = Tokenizer(models.Unigram([*pieces, *((letter, -6.0) for letter in letters)], unk_id=3))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]",
        mask_token="[MASK]",
    )  # fmt: skip


def word_tokenizer(folder: Path) -> Any:
    """The WordPiece vocabulary of ``write_teacher``."""
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return BertTokenizerFast(folder / "vocab.txt")


def write_foreign(
    folder: Path,
    family: str,
    *,
    labels: tuple[str, ...] = (),
    head: str = "",
    problem: str | None = None,
    seed: int = 0,
    **options,
) -> Path:
    """A masked language model of a family, or with labels a classifier, or with another head, untrained, with
    its tokenizer.
    """
    import transformers

    tokenizer = {
        "deberta-v2": space_tokenizer, "electra": lambda: word_tokenizer(folder)
    }.get(family, byte_tokenizer)()  # fmt: skip
    special = {
        "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id,
        "cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id,
    }  # fmt: skip
    more = {
        "electra": {"embedding_size": 32},
        "deberta": {"relative_attention": True, "pos_att_type": "p2c|c2p"},
        "deberta-v2": {"relative_attention": True, "pos_att_type": "p2c|c2p"},
        "bart": {
            "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
            "decoder_start_token_id": tokenizer.eos_token_id,
        },
    }  # fmt: skip
    config = transformers.CONFIG_MAPPING[family](**{**SIZES, **special, **more.get(family, {})})
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    config.problem_type = problem
    head = head or ("SEQUENCE_CLASSIFICATION" if labels else "MASKED_LM")
    table = f"MODEL_FOR_{head}_MAPPING"
    torch.manual_seed(seed)
    model = getattr(transformers, table)[type(config)](config)
    model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    return folder
