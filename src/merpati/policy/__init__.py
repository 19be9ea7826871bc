"""What may pass: rules that look and never store."""
