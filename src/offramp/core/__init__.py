"""The nouns that everything else shares: errors, specifications, costs, plans. No torch."""
