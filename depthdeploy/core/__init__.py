"""The frozen types that travel between stages. Standard library and numpy only."""
