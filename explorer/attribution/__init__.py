"""Which pixels decided the answer? Methods, what they are compared with, and whether a map tells the truth.

methods: the methods and `attribute`. baselines: what stands for "nothing there", and superpixels. checks: is the
map telling the truth? display: a scale that outliers do not decide. score: the network that methods work on.
"""
