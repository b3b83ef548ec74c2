"""Teachers of a task that are no model folders of ours: files of labels, servers, entailment."""
