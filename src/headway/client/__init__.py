"""Ask a Headway server: `headway.Client` and `headway.AsyncClient`. What decides is pure; two thin shells do I/O."""
