"""How networks learn: data sets, recipes, and runs, each of which is a directory."""
