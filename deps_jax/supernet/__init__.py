"""All subnets in one set of parameters; masks, sorting, one subnet cut out, weights in."""
