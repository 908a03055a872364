"""What every service does: app, problems, lanes, server. No engine and no route lives here."""
