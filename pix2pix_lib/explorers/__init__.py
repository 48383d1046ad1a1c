"""Explorers: sliders, and a picture that follows them.

One module each; see `base` for what they share.
"""
