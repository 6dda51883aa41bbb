"""Real traffic, deliberate faults, the whole history of every request, and a checker of it.

    truth      pure: what the right answer is, and in which class a request ended
    checker    pure: what a ledger, a census and /metrics say of a run; when a run is void
    schedule   pure: which fault strikes when, from a seed
    ledger     clients that ask over raw connections, and write down what they asked and what came of it
    nemesis    strikes real processes
    census     counts what processes hold: descriptors, threads, shared memory, files
    proxy      stands between client and server, and spoils the connection
    case       one server under load and faults, from start to quiet
    simulation the engine's pure parts in virtual time, with its `actors`
    mutants    deliberate faults in the data path, and the tests that must catch them (with `unshrunk`)
    figures    what tests have measured, and the table of promises that it is put into
    headline   a run of any length from the command line
    subject    the predictors that are served

It knows nothing of pytest, but for `unshrunk`. Not here: tests, which are in `faults`.
"""
