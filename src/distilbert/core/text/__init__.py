"""Text to ids and back."""

from distilbert.core.text.added import AddedToken as AddedToken
from distilbert.core.text.encoding import BatchEncoding as BatchEncoding
from distilbert.core.text.fast import DistilBertTokenizerFast as DistilBertTokenizerFast
from distilbert.core.text.interface import TokenizedTexts as TokenizedTexts
from distilbert.core.text.interface import Tokenizer as Tokenizer
from distilbert.core.text.python import DistilBertTokenizer as DistilBertTokenizer
