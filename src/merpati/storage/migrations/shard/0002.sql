-- What is stored is checked for silent damage when it is read back, and by `merpati verify`.
-- An entry stored from here on begins with its own checksum (queue/rows.py).
ALTER TABLE message ADD COLUMN checksum INTEGER;  -- CRC-32 of the whole content; NULL: not known
