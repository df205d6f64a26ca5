"""Data: tables held in memory, read, encoded, split and handed out batch by batch."""
