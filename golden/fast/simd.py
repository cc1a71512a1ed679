"""Vectors of 256 bits as values of compiled loops.

Loops over arrays are vector instructions without more ado: the compiler sees to that. It does not
find the instructions that multiply and add pairs of integers, or look bytes up in a register, nor
does it keep the sums of a matrix product in registers. Loops say so with these. `kernels` names
the digest of this file, since numba keeps machine code until that file changes.

`AVX2` says whether the processor has such instructions. `pair_sums` does the same without them;
the other two are for loops that ask first.
"""

import operator
from collections.abc import Callable

import numba
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

part = numba.njit(
    nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True,
    fastmath={"contract"},
)  # fmt: skip
"""Decorator of loops that only other loops call, inside which they are compiled."""

BITS = 256


def _avx2() -> bool:
    chosen = numba.config.CPU_FEATURES  # of NUMBA_CPU_NAME and NUMBA_CPU_FEATURES
    if chosen is not None:
        return "+avx2" in chosen.split(",")
    return bool(binding.get_host_cpu_features().get("avx2", False))


AVX2 = _avx2()


class Vector(types.Type):
    """A numba type: as many integers of `bits` bits as fill a vector."""

    def __init__(self, bits: int) -> None:
        super().__init__(name=f"Vector(int{bits})")
        self.bits = bits

    @property
    def key(self) -> int:
        """What tells two of these types apart."""
        return self.bits

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        return BITS // self.bits

    @property
    def code(self) -> ir.VectorType:
        """Its type in LLVM."""
        return ir.VectorType(ir.IntType(self.bits), self.lanes)

    def of(self, *values: int) -> ir.Constant:
        """A constant vector, its values repeated as often as they fit."""
        return ir.Constant(self.code, list(values) * (self.lanes // len(values)))


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: object, kind: Vector) -> None:
        super().__init__(manager, kind, kind.code)


BYTES, HALVES, WORDS, LONGS = (Vector(bits) for bits in (8, 16, 32, 64))
_BY_BITS = {kind.bits: kind for kind in (BYTES, HALVES, WORDS, LONGS)}
_Builder = ir.IRBuilder
_INDEX = ir.IntType(32)


def _operator(symbol: Callable, instruction: str) -> None:
    """Make an operator of two vectors of one type that instruction."""

    @intrinsic
    def both(_typing, left, right):
        def code(_context, builder: _Builder, _signature, values):
            return getattr(builder, instruction)(*values)

        return left(left, right), code

    @overload(symbol)
    def chosen(left, right):
        if isinstance(left, Vector) and left == right:
            return lambda left, right: both(left, right)
        return None


for _symbol, _instruction in (
    (operator.add, "add"), (operator.sub, "sub"), (operator.xor, "xor"), (operator.and_, "and_"),
    (operator.or_, "or_"),
):  # fmt: skip
    _operator(_symbol, _instruction)


def _function(builder: _Builder, name: str, kind: ir.Type, *arguments: ir.Type) -> ir.Function:
    """A function that LLVM knows by name."""
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(kind, arguments), name)


def _place(context, builder: _Builder, kind, array, index, vector: ir.Type):
    """Pointer to a vector that begins at that element of an array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def load(_typing, array, index):
    """The elements of a flat array from `index` on."""
    found = _BY_BITS[array.dtype.bitwidth]

    def code(context, builder: _Builder, signature, values):
        vector = builder.load(_place(context, builder, signature.args[0], *values, found.code))
        vector.align = found.bits // 8
        return vector

    return found(array, types.intp), code


@intrinsic
def store(_typing, array, index, vector):
    """Fill a flat array's elements from `index` on."""

    def code(context, builder: _Builder, signature, values):
        place = _place(context, builder, signature.args[0], *values[:2], vector.code)
        builder.store(values[2], place).align = vector.bits // 8
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def splat(_typing, value):
    """That integer in every element."""
    found = _BY_BITS[value.bitwidth]

    def code(_context, builder: _Builder, _signature, values):
        nothing = ir.Constant(found.code, ir.Undefined)
        one = builder.insert_element(nothing, values[0], _INDEX(0))
        everywhere = ir.Constant(ir.VectorType(_INDEX, found.lanes), None)
        return builder.shuffle_vector(one, nothing, everywhere)

    return found(value), code


def _reader(kind: Vector) -> Callable:
    @intrinsic
    def read(_typing, vector):
        def code(_context, builder: _Builder, _signature, values):
            return builder.bitcast(values[0], kind.code)

        return kind(vector), code

    return read


as_bytes, as_halves, as_words = _reader(BYTES), _reader(HALVES), _reader(WORDS)
"""The same bits as int8, int16 or int32."""


@intrinsic
def down(_typing, vector):
    """Every element's upper half, unsigned."""

    def code(_context, builder: _Builder, _signature, values):
        return builder.lshr(values[0], vector.of(vector.bits // 2))

    return vector(vector), code


@intrinsic
def up(_typing, vector):
    """Every element's lower half, moved to the upper one."""

    def code(_context, builder: _Builder, _signature, values):
        return builder.shl(values[0], vector.of(vector.bits // 2))

    return vector(vector), code


@intrinsic
def signs(_typing, vector):
    """-1 for every negative element, 1 for the others."""

    def code(_context, builder: _Builder, _signature, values):
        return builder.or_(builder.ashr(values[0], vector.of(vector.bits - 1)), vector.of(1))

    return vector(vector), code


@intrinsic
def half_product(_typing, left, right):
    """Products of the elements' lower halves, unsigned."""

    def code(_context, builder: _Builder, _signature, values):
        lower = left.of((1 << left.bits // 2) - 1)
        return builder.mul(*(builder.and_(value, lower) for value in values))

    return left(left, right), code


def _halves_of_lanes(first: int) -> Callable:
    @intrinsic
    def chosen(_typing, left, right):
        def code(_context, builder: _Builder, _signature, values):
            of_lane = (first, first + 1, first + 8, first + 9)
            order = ir.Constant(ir.VectorType(_INDEX, 8), [k + i for k in (0, 4) for i in of_lane])
            return builder.shuffle_vector(*values, order)

        return WORDS(left, right), code

    return chosen


lower_pairs, upper_pairs = _halves_of_lanes(0), _halves_of_lanes(2)
"""Words 0, 1, 4 and 5, or 2, 3, 6 and 7, of two vectors: two of one, two of the other, in turn."""


@intrinsic
def pair_sums(_typing, left, right):
    """Products of int16, and the sum of every two neighbors as int32."""

    def code(_context, builder: _Builder, _signature, values):
        if AVX2:
            name, half = "llvm.x86.avx2.pmadd.wd", HALVES.code
            return builder.call(_function(builder, name, WORDS.code, half, half), values)
        # An int32 holds two int16; shifts with sign take them out.
        left, right = (builder.bitcast(value, WORDS.code) for value in values)
        by = WORDS.of(16)
        upper = builder.mul(builder.ashr(left, by), builder.ashr(right, by))
        left, right = (builder.ashr(builder.shl(value, by), by) for value in (left, right))
        return builder.add(upper, builder.mul(left, right))

    return WORDS(left, right), code


@intrinsic
def byte_pair_sums(_typing, unsigned, signed):
    """Products of uint8 and int8, and the sum of every two neighbors as int16. With AVX2 only."""

    def code(_context, builder: _Builder, _signature, values):
        name, byte = "llvm.x86.avx2.pmadd.ub.sw", BYTES.code
        return builder.call(_function(builder, name, HALVES.code, byte, byte), values)

    return HALVES(unsigned, signed), code


@intrinsic
def look_up(_typing, table, index):
    """Bytes of a table of 16 given twice, by the lowest 4 bits; 0 if negative. With AVX2 only."""

    def code(_context, builder: _Builder, _signature, values):
        name, byte = "llvm.x86.avx2.pshuf.b", BYTES.code
        return builder.call(_function(builder, name, byte, byte, byte), values)

    return BYTES(table, index), code
