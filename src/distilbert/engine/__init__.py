"""Text in, answers out: a model's graph, a runtime that computes it, and what keeps the runtime busy."""
