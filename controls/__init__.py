"""Controls that the pages share: the network in the sidebar, its weights and device, the pictures."""
