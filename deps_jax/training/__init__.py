"""DepS and the methods beside it, from the loss to a whole run."""
