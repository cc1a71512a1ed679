"""Formal proofs of the digital blocks: `python -m formal`, or `make formal`.

A proof is a harness (`formal.harness`) around one component, unrolled by `formal.solver`: bounded
model checking from reset, and k-induction, which turns a bound into a proof for all time where it
holds. Every property must also fail: `formal.proof` puts bugs into the component's source and
demands that the solver finds them.
"""
