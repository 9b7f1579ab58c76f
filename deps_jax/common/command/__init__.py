"""What every command shares: settings, flags, error sentences, pages."""
