"""The engine: it takes requests to a model and answers back, each to its own caller.

Pure, given the time: `life`, `batcher`, `deadlines`, `fleet`, `frames`, `threads`, `grab`.
I/O, thin: `channel`, `gateway`, `worker`, `supervisor`, `local`.
"""
