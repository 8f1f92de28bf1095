"""The sidebar: which network, with which weights, on which device."""
