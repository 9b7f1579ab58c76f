"""What lies where a newborn might: things, and nothing at all."""
