"""What needs no framework: configuration, parameters, checkpoints, text, data, tasks, recipes."""
