"""What a network costs, and what others would: read from plans alone, without torch."""
