"""What every source shares: reading, filtering, reporting, writing."""
