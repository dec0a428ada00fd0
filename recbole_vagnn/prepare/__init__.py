"""Data sources, one file each: from somebody's layout to RecBole's atomic files."""
