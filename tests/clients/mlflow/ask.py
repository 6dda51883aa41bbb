"""Ask two servers of one model with MLflow's own client; prints what both answered as one JSON value."""

import json
import sys

import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

ports, rows = sys.argv[1:-1], json.loads(sys.argv[-1])
told = []
for port in ports:
    client = ScoringServerClient("127.0.0.1", port)
    client.wait_server_ready(timeout=60)
    answers = client.invoke(pd.DataFrame(**rows)).get_predictions()
    told.append({"version": client.get_version(), "answers": answers.to_dict("split")})
print(json.dumps(told))
