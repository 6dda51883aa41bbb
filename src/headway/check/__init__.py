"""Ask a model in all its forms before it is shipped, and compare."""
