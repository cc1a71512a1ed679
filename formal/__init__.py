"""Formal proofs of the digital blocks: `python -m formal`, or `make formal`.

A proof is a harness (`formal.harness`) around one component. `formal.solver` checks it by bounded
model checking from reset, and by k-induction, which extends the bound to all time. Every property
must also be able to fail: `formal.proof` seeds bugs in the component's source, and the solver must
find them.
"""
