"""How much of everything the quickstart takes. Counts are fixed here, never by the clock of a run."""

from dataclasses import dataclass

from distilbert.core.recipe import Finetuning, LanguageModelling


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    Attributes:
        corpus_characters: text to adapt and to distil on, about a quarter as many tokens.
        labels_per_topic: labelled rows of each topic.
        test_share: of the rows, set aside.
        min_words: docstrings shorter than this name no topic.
        adapt: the teacher's masked-language-model run.
        distil: the student's.
        finetune: of all three models alike.
        timed_texts: texts of a throughput measurement.
    """

    corpus_characters: int
    labels_per_topic: int
    test_share: float
    min_words: int
    adapt: LanguageModelling
    distil: LanguageModelling
    finetune: Finetuning
    timed_texts: int

    def with_seed(self, seed: int) -> "Settings":
        return Settings(
            **{
                **vars(self),
                "adapt": self.adapt.with_changes(seed=seed),
                "distil": self.distil.with_changes(seed=seed),
                "finetune": self.finetune.with_changes(seed=seed),
            }
        )


#: One pass over a part of the text: too short for dropout to be of use.
_READING = {"max_length": 64, "min_length": 8, "dropout": 0.0, "batch_size": 32, "micro_batch_size": 32}

FULL = Settings(
    corpus_characters=3_000_000,
    labels_per_topic=20,
    test_share=0.35,
    min_words=16,
    adapt=LanguageModelling.read("adapt").with_changes(**_READING, steps=60),
    distil=LanguageModelling.read("default").with_changes(**_READING, steps=80),
    finetune=Finetuning(
        max_length=64,
        steps=160,
        batch_size=16,
        unlabelled_batch_size=32,
        micro_batch_size=48,
        learning_rate=2e-4,
        new_weights_rate=2.0,
        warmup_share=0.1,
        eval_share=0.0,
    ),
    timed_texts=128,
)

SMOKE = Settings(
    corpus_characters=100_000,
    labels_per_topic=2,
    test_share=0.35,
    min_words=60,
    adapt=FULL.adapt.with_changes(steps=2, batch_size=4),
    distil=FULL.distil.with_changes(steps=2, batch_size=4),
    finetune=FULL.finetune.with_changes(steps=3, batch_size=4, unlabelled_batch_size=4),
    timed_texts=8,
)
