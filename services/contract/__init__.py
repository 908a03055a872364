"""What crosses the wire between the services: pydantic and the standard library, nothing else."""
