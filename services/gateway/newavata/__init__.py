"""NewAvata's API: served for its clients (serving, turns, results), and spoken to its server (client)."""
