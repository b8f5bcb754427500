"""A stand-in BigCommerce B2B Edition, to build and test against without a store.

One request, in the order of the files:

* `server` accepts the connection, `requests` reads the request, `exchange` decides about it;
* `routing` finds the endpoint, `credentials` says whose request it is, `faults` and `limits` may
  answer first;
* `auth_endpoints` make, list and delete tokens (`tokens`, `ledger`);
* `management` gathers the endpoints that do B2B work: `companies`, `people`, `orders`, `quotes`,
  `invoices`, `files`, on rows from `data`, a page at a time (`listing`);
* `answers` has the body shapes and `delivery` writes them to the socket, well or badly.

`state` is all that changes while it runs. `behaviours` are the switches that make it misbehave,
`checks` the values they take, `switchboard` how they are set; `control` is how a test sets them
and reads what happened.

Section numbers (§) in comments are those of upstream.md, the collected facts about the real API.
Standard library only: a calling team runs it with plain python3. See README.md.
"""
