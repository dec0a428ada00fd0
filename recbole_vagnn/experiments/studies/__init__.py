"""Studies: experiments that answer one question each."""
