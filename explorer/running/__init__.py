"""From a plan to a network that runs: its modules, its weights, its device, and the files it leaves as."""
