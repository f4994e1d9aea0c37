"""The one place where what people said becomes columns, and comes back.

`inputs` and `interactions` check what callers give and make rows of it. `records` has
the columns of each record, in order, and makes records of rows. `row_types` has what
the checksum of a row covers. `documents` makes the rows of a whole session's document,
and `db/session_rows.py` a document of rows. Whatever must see, mark, seal or take out
what was said hooks in here, and nowhere else: no other module makes or reads a row's
content, or computes its checksum.

Knows the tables and the vocabulary, and neither connections nor units.
"""
