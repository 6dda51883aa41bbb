"""Gradio's own client: asks the app at the given address about a model, as programs do."""

import json
import sys

from gradio_client import Client

client = Client(sys.argv[1], verbose=False)
print(json.dumps(client.predict(*json.loads(sys.argv[3]), api_name=f"/{sys.argv[2]}")))
