"""The engine: it takes requests to a model and answers back, each to its own caller.

Pure: `life`, `batcher`, `deadlines`, `fleet`, `frames`, `rows`, `inflate`, `threads` (but for one reader).
Where the model runs: `worker`, `grab`, `ticket`, `gate`, `cancels`, `warm`, `coroutines`; in your process, `local`.
Around them, I/O: `gateway`, `pool`, `link`; `supervisor`, `party`, `watch`, `orphan`; `channel`, `messages`.
"""
