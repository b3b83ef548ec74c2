"""From a teacher, texts and a target to the smallest folder that meets it, with the proof."""
