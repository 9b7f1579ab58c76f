"""Files written whole or not at all, folders that one process writes, tensors out of files."""
