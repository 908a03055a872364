"""Films as jobs: asked for now, made by workers, fetched later."""
