"""Explorers: sliders, and a picture that follows the hand. One module each; see `base` for what they share."""
