"""Text to token ids and back."""

from distilbert.core.text.fast import DistilBertTokenizerFast as DistilBertTokenizerFast
from distilbert.core.text.fast import TokenizedTexts as TokenizedTexts
