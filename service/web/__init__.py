"""The HTTP edge: the only package that knows Flask and Werkzeug.

``edge`` finds the operation, and ``door`` lets the request in and the answer out: ``callers`` (who is it), ``body`` (what do they ask,
read through ``transport``), an operation of ``stores``, ``references``, ``identity`` or ``proxy``, and ``problems`` if anything is wrong.
``operations`` lists every route once, and ``openapi`` describes them from the same list and the same ``models``.
"""
