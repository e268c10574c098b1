"""The IPython magics: a table of names, their options, and one file per magic."""
