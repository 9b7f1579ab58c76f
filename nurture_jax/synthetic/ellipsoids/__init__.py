"""Newborns of ellipsoids and capsules, which a ray meets in closed form."""
