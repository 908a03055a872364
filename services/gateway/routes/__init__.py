"""The public routes, one module per family."""
