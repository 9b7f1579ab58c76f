"""What is learnt and how, from the losses to a whole run."""
