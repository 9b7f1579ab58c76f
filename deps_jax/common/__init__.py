"""What both products share; nothing here knows either of them."""
