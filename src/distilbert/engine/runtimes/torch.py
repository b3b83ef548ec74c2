"""Batches through our own models in PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from distilbert.core.parameters import Head
from distilbert.engine.model import Model
from distilbert.engine.runtimes.runtime import Array


@dataclass(frozen=True)
class Torch:
    """A model in eval mode, which all streams call."""

    module: Any
    model: Model
    streams: int
    threads: int

    name: ClassVar[str] = "torch"
    precision: ClassVar[str] = "fp32"

    @classmethod
    def open(cls, model: Model, *, precision: str = "fp32", streams: int, threads: int) -> Self:
        import torch

        from distilbert.torch.answering import new_model
        from distilbert.torch.folders import masked_language_model

        made: Any
        if model.head is Head.MASKED_LM:
            made = masked_language_model(model.config)
        else:
            made = new_model(model.head, model.config)
        made.load(model.folder, dtype=torch.float32)
        return cls(made.eval(), model, streams, threads)

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        import torch

        from distilbert.torch.pooling import pooled_rows

        torch.set_num_threads(self.threads)  # of whoever calls
        ids, mask = torch.from_numpy(feed["input_ids"]), torch.from_numpy(feed["attention_mask"])
        types = torch.from_numpy(feed["token_type_ids"]) if self.model.reads_types else None
        head, pooling = self.model.head, self.model.pooling
        with torch.inference_mode():
            if pooling is not None:
                return [pooled_rows(self.module, ids, mask, pooling).numpy()]
            if self.model.asked:
                states = self.module.encoder(ids, mask, token_type_ids=types, return_dict=True)
                rows = torch.arange(len(ids))[:, None]
                states = states.last_hidden_state[rows, torch.from_numpy(feed["asked"])]
                return [self.module.token_logits(states).numpy()]
            if head is Head.MULTIPLE_CHOICE:
                types = None if types is None else types[None]
                logits = self.module(ids[None], mask[None], token_type_ids=types, return_dict=True).logits
                return [logits[0][:, None].numpy()]
            output = self.module(ids, mask, token_type_ids=types, return_dict=True)
            if head is Head.QUESTION_ANSWERING:
                return [output.start_logits.numpy(), output.end_logits.numpy()]
            return [output[0].numpy()]
