"""A pytest plugin for mutants: that a test fails is all that is asked, so Hypothesis looks for no smaller example."""

from hypothesis import Phase, settings

settings.register_profile("unshrunk", phases=(Phase.explicit, Phase.generate))
settings.load_profile("unshrunk")
