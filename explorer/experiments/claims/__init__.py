"""One file a claim, each with an `EXPERIMENT` and its `PLACE` among the cards."""
