"""Tables and arrays in, pictures out. One colour language on every page; see `colours`."""
