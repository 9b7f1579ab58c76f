"""What both kinds of newborn share: who is filmed, poses, cloth, ruler, light, camera, phones."""
