"""The rules, one concern a file; `table` says which apply at which door."""
