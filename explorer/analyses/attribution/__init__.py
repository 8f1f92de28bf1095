"""Which pixels decided the answer? Methods, what they are compared with, and whether a map tells the truth.

score: what is explained, and the private network that methods work on. method: what a method is. methods: all of them.
attribute: one of them on one image. request: what was chosen, as a value that can be remembered by. baselines: what
stands for "nothing there", and superpixels. reading: what the numbers of a map say. checks: is the map telling the
truth? display: a scale that outliers do not decide.
"""
