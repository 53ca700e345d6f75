"""One server of several replicas: each a whole engine, cameras shared out among them."""
