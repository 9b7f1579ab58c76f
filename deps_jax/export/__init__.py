"""One subnet as a file, checked, and what runs it."""
