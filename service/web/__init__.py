"""The HTTP edge: the only package that knows Flask.

``edge`` puts it together. A request meets ``transport`` (what WSGI does not standardise), ``callers`` (who is it), ``body`` (what do they
ask), one of the routes in ``stores``, ``references``, ``identity`` or ``proxy``, and leaves through ``problems`` if anything is wrong.
``operations`` lists every route once, and ``openapi`` describes them from the same list and the same ``models``.
"""
