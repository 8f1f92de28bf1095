"""Many networks that differ in some knobs, trained as one: what they are, what they cost, and what came of them."""
