"""Text to arrays: where it comes from, which words are hidden, how rows become batches."""
