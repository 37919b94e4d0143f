"""Job folders, drivers and the toolchains they run in."""
