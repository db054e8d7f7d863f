"""`make gpu-check`: proves on a card what Pool5 promises of it, and measures how fast it is.

`parts.py` lists what is checked. Each part runs in a process of its own (`child.py`), which a parent with
nothing but the standard library watches (`supervise.py`): a part that raises, crashes or hangs loses nothing
of the others, and of itself only the line that it was at. What is told goes into one JSON file (`record.py`),
written anew at each line.
"""
