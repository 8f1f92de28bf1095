"""Which pixels decided the answer? Methods, what they are compared with, and whether a map tells the truth.

score: what is explained, and the private network that methods work on. methods: the methods, as data. running: one
of them on one image. baselines: what stands for "nothing there", and superpixels. checks: is the map telling the
truth? display: a scale that outliers do not decide.
"""
