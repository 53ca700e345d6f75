"""What a network costs: counted work, and measured time."""
