-- CRC-32 of the key and the blob, see src/store/sqlite/checksum.ts. NULL: written before there were checksums.
ALTER TABLE hidden_states ADD COLUMN checksum INTEGER;
ALTER TABLE vectors ADD COLUMN checksum INTEGER;
