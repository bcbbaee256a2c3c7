"""Toy World: a procedural world of captioned scenes and the small Stable Diffusion trained on it."""
