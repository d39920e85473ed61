"""Where Ray Tune plugs in: searcher, scheduler, callbacks, session."""
