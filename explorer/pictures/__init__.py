"""From a file that nobody vouches for to what a network gets."""
