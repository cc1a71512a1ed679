"""The quick proofs hold, their seeded bugs are found, and the tools say so when they should."""

from dataclasses import replace

import pytest

from caduceus.hdl.fabric.arbiter import Arbiter
from caduceus.spec.errors import UserError
from formal import arbiter
from formal.command import PROOFS, unrefuted
from formal.proof import Mutant, Outcome, prove, refute, seeded
from formal.solver import Model, Refuted

QUICK = [proof for proof in PROOFS if proof.quick]
BUGS = [(proof, mutant) for proof in QUICK for mutant in proof.mutants]


@pytest.mark.parametrize("proof", QUICK, ids=lambda proof: proof.name)
def test_everything_holds(proof):
    outcomes = prove(proof)
    assert outcomes
    if proof.induction:
        assert all(outcome.always for outcome in outcomes), outcomes


@pytest.mark.parametrize(("proof", "mutant"), BUGS, ids=[f"{p.name}: {m.says}" for p, m in BUGS])
def test_a_seeded_bug_is_found(proof, mutant):
    refute(proof, mutant)


def test_every_property_can_fail():
    outcomes = []
    for proof in PROOFS:
        harness = proof.build(proof.component)
        harness.rtlil()  # or Amaranth warns of a module that was made for nothing
        outcomes += [Outcome(proof.name, name, 0) for name in harness.properties]
    assert outcomes
    assert unrefuted(PROOFS, outcomes) == []


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_every_seeded_bug_fits_its_source_and_gets_into_the_harness(proof):
    right = proof.build(proof.component).rtlil()
    for mutant in proof.mutants:
        with seeded(proof.component, mutant) as component:
            assert proof.build(component).rtlil() != right, mutant.says
    assert proof.build(proof.component).rtlil() == right, "a bug stayed"


def test_the_arbiters_bound_is_tight():
    within = arbiter.bound(3, 3)
    Model(arbiter.live(Arbiter, 3, 2, 3, within)).check(20, ["served_in_time"])
    with pytest.raises(Refuted) as caught:
        Model(arbiter.live(Arbiter, 3, 2, 3, within - 1)).check(20, ["served_in_time"])
    assert caught.value.failed == ["served_in_time"]
    assert len(caught.value.trace) > within


def test_a_bug_that_is_none_is_reported():
    proof = next(proof for proof in QUICK if proof.component is Arbiter)
    harmless = Mutant("is as it was", ("wanted.any() & ", "wanted.any() & "), ("one_grant",))
    with pytest.raises(UserError, match="'one_grant' holds for 12 clocks, but the design is as"):
        refute(proof, harmless)


def test_a_bug_that_fits_nowhere_is_reported():
    proof = next(proof for proof in QUICK if proof.component is Arbiter)
    with pytest.raises(UserError, match="occurrences of 'nowhere': got 0, expected 1"):
        refute(proof, Mutant("is as it was", ("nowhere", ""), ("one_grant",)))


def test_assumptions_that_contradict_each_other_are_reported():
    proof = next(proof for proof in QUICK if proof.component is Arbiter)

    def build(component):
        harness = proof.build(component)
        harness.assume("impossible", 0)
        return harness

    with pytest.raises(UserError, match="leave no run of 12 clocks"):
        prove(replace(proof, build=build))
