"""Text as no corpus has it: every part of Unicode, and what tokenizers stumble over, mixed."""

from hypothesis import strategies as st

from distilbert.core.text.characters import characters

#: Each has been a difference between two tokenizers somewhere.
STUMBLES = [
    *" ,.-'\t\n\r\x0b\x0c\x00\x7f\x85\xa0\xad",
    *"aZéÅİßΣςﬁŉǅ",
    *"\u0301\u0308\u0344\u0f73\u302e\u0334\u1dc0",
    *"\u200b\u200d\u2028\u2029\u202f\u3000\ufeff\ufffd\ue000",
    *"中㐀\uf900\U0002b820\U0002b920\U00020000가힣ᄀ\U0001f600\U0001d165\U0010ffff",
    "hello", "the", "ing", "##ing", "un", "straße", "naïve", "[MASK]", "[SEP]", "[UNK]", "[PAD", "  ",
    "don't", "3.14", "x" * 101,
]  # fmt: skip

any_character = st.characters(exclude_categories=("Cs",))
moved_character = st.sampled_from(sorted(characters().rank))
any_part = st.one_of(
    st.sampled_from(STUMBLES),
    st.sampled_from(STUMBLES),
    any_character,
    moved_character,
    st.text(any_character),
)
any_text = st.lists(any_part, max_size=12).map("".join)


def any_text_with(*parts: str) -> st.SearchStrategy[str]:
    """``any_text`` in which these parts are frequent."""
    return st.lists(st.one_of(st.sampled_from(parts), any_part), max_size=12).map("".join)
