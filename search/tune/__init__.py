"""Where Ray Tune plugs in: searcher, scheduler, observers, session."""
