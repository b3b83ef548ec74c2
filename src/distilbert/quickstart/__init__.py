"""The whole way on real parts: teacher, text, student, labels, report. Uses only what a user can call."""
