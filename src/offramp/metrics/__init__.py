"""How right an answer is, and the table of it over images and exits. Pure numpy."""
