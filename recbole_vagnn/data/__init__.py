"""Data sets, graphs and samplers: from files to the matrices models ask for."""
