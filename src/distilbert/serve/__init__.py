"""Trained folders behind HTTP: protocols in, protocols out, no maths."""
