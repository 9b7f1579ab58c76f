"""Growth standards, advice, and the gate that refuses a recording."""
