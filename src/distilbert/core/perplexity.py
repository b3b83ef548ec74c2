"""What a mean cross-entropy of hidden words is as a perplexity.

Of hidden tokens it is the number of equally likely tokens that would be as hard to tell. It is no perplexity
of a text: an encoder sees both sides of what is hidden, several tokens are hidden at once (so it is not
the pseudo-perplexity of Salazar et al. 2020 either, which hides one at a time), and a tenth of them stand
there as they are. Compare it between models of one tokenizer, text and way of hiding alone. Where words are
hidden with all their pieces, the nats of a word's pieces are added up: that number is of words, and
vocabularies that cut words differently can be compared by it.
"""

import math
from collections.abc import Mapping

#: By the mean in nats, the perplexity's name: of hidden tokens, and of words that are hidden whole.
NAMES = {"masked_lm": "masked_token_perplexity", "masked_words": "masked_word_perplexity"}

#: Of more nats the number is no float any more.
_MOST_NATS = 700.0


def perplexities(means: Mapping[str, float]) -> dict[str, float]:
    """The perplexities of those means, in nats, that are there."""
    return {
        name: math.exp(min(means[mean], _MOST_NATS)) if means[mean] == means[mean] else math.nan
        for mean, name in NAMES.items()
        if mean in means
    }
