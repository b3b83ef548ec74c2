"""What a label means, how logits become an answer, which metric judges it: one file a task."""

from distilbert.core.tasks.sequence_classification import Answer as Answer
from distilbert.core.tasks.sequence_classification import LabelledTexts as LabelledTexts
from distilbert.core.tasks.sequence_classification import SequenceClassification as SequenceClassification
