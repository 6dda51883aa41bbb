"""What models are: definitions, signatures, the wire table, and where a project keeps them."""
