"""Reads the README.md of a Space, as the Hub's own library does."""

import json
import sys

from huggingface_hub import SpaceCard

print(json.dumps(SpaceCard.load(sys.argv[1]).data.to_dict()))
