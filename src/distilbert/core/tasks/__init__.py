"""What a task reads, what its labels and logits mean, and what judges it: one file a task."""

from distilbert.core.tasks.examples import Examples as Examples
from distilbert.core.tasks.labelled_texts import LabelledTexts as LabelledTexts
from distilbert.core.tasks.sequence_classification import Answer as Answer
from distilbert.core.tasks.sequence_classification import SequenceClassification as SequenceClassification
