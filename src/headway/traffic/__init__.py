"""Load on a service, and what it answered: the generator, histograms, pictures, comparisons. It prints nothing."""
