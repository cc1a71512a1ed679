"""ONNX models for tests with branches: sums, concats, maps that several layers take."""

from typing import Any

from onnx_build import Build, Case, supported

SAME: dict[str, Any] = {"pads": [1, 1, 1, 1]}
HALF: dict[str, Any] = {"strides": [2, 2]}


@supported
def residual() -> Case:
    """A block of ResNet: two convolutions, the sum with what goes past, ReLU."""
    build = Build("residual")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    y = build.conv(build.relu_conv(x, 4, 4, **SAME), 4, 4, **SAME)
    x = build("Relu", build("Add", y, x))
    return build.case(build.dense(build("Flatten", x), 64, 4), ("N", 4))


@supported
def projected() -> Case:
    """A block of ResNet whose skip is a strided 1x1 convolution."""
    build = Build("projected")
    x = build.relu_conv("x", 1, 2, **SAME)
    y = build.conv(build.relu_conv(x, 2, 4, pads=[0, 0, 1, 1], **HALF), 4, 4, **SAME)
    x = build("Relu", build("Add", build.conv(x, 2, 4, 1, **HALF), y))
    x = build("GlobalAveragePool", x)
    return build.case(build.dense(build("Flatten", x), 4, 4), ("N", 4))


@supported
def pre_activated() -> Case:
    """A block of the second ResNet: the sum has no ReLU, the next layer's input does."""
    build = Build("pre_activated")
    x = build.conv("x", 1, 4, 2, **HALF)
    for _ in range(2):
        y = build("Relu", build.normalization(x, 4))
        y = build.conv(y, 4, 4, bias=False, **SAME)
        y = build.conv(build("Relu", build.normalization(y, 4)), 4, 4, **SAME)
        x = build("Add", x, y)
    x = build("GlobalAveragePool", build("Relu", x))
    return build.case(build.dense(build("Flatten", x), 4, 4), ("N", 4))


@supported
def sum_of_activations() -> Case:
    """The sum of two maps that each had their ReLU."""
    build = Build("sum_of_activations")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    x = build("Add", build.relu_conv(x, 4, 4, **SAME), build.relu_conv(x, 4, 4, 1))
    return build.case(build.dense(build("Flatten", x), 64, 4), ("N", 4))


@supported
def densely_connected() -> Case:
    """DenseNet: every layer takes all maps before it, one behind another."""
    build = Build("densely_connected")
    maps, channels = [build.relu_conv("x", 1, 2, 2, **HALF)], 2
    for _ in range(2):
        before = maps[0] if len(maps) == 1 else build("Concat", *maps, axis=1)
        maps.append(build.relu_conv(before, channels, 2, **SAME))
        channels += 2
    x = build.relu_conv(build("Concat", *maps, axis=1), channels, 4, 1)
    return build.case(build.dense(build("Flatten", x), 64, 4), ("N", 4))


@supported
def inception() -> Case:
    """Three kernels on one map, their results one behind another."""
    build = Build("inception")
    x = build.relu_conv("x", 1, 2, 2, **HALF)
    branches = [build.relu_conv(x, 2, 2, kernel, pads=[kernel // 2] * 4) for kernel in (1, 3, 5)]
    x = build("GlobalAveragePool", build("Concat", *branches, axis=1))
    return build.case(build.dense(build("Flatten", x), 6, 4), ("N", 4))


@supported
def three_consumers() -> Case:
    """One map that three layers take, at distances 1, 2 and 3."""
    build = Build("three_consumers")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    first = build.relu_conv(x, 4, 4, **SAME)
    second = build("Relu", build("Add", build.conv(first, 4, 4, 1), x))
    third = build("Relu", build("Add", build.conv(second, 4, 4, 1), x))
    return build.case(build.dense(build("Flatten", third), 64, 4), ("N", 4))


@supported
def crossing_skips() -> Case:
    """Skips from a to c and from b to d."""
    build = Build("crossing_skips")
    a = build.relu_conv("x", 1, 4, 2, **HALF)
    b = build.relu_conv(a, 4, 4, **SAME)
    c = build("Relu", build("Add", build.conv(b, 4, 4, 1), a))
    d = build("Relu", build("Add", build.conv(c, 4, 4, 1), b))
    return build.case(build.dense(build("Flatten", d), 64, 4), ("N", 4))


def skip(layers: int) -> Case:
    """A skip over as many 3x3 convolutions."""
    build = Build("skip")
    x = build.relu_conv("x", 1, 2, 2, **HALF)
    y = x
    for layer in range(layers):
        y = build.conv(y, 2, 2, **SAME)
        y = y if layer == layers - 1 else build("Relu", y)
    y = build("Relu", build("Add", x, y))
    return build.case(build.dense(build("Flatten", y), 32, 4), ("N", 4))


@supported
def skip_over_1() -> Case:
    """A skip over one layer."""
    return skip(1)


@supported
def skip_over_2() -> Case:
    """A skip over two layers."""
    return skip(2)


@supported
def skip_over_3() -> Case:
    """A skip over three layers."""
    return skip(3)


@supported
def skip_over_4() -> Case:
    """A skip over four layers."""
    return skip(4)


@supported
def same_weights_twice() -> Case:
    """Two layers with one and the same initializer."""
    build = Build("same_weights_twice")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    weight, bias = build.weight(4, 4, 3, 3), build.bias(4)
    for _ in range(2):
        x = build("Relu", build("Conv", x, weight, bias, kernel_shape=[3, 3], **SAME))
    return build.case(build.dense(build("Flatten", x), 64, 4), ("N", 4))


@supported
def sum_of_three() -> Case:
    """Sum with three inputs."""
    build = Build("sum_of_three")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    y = build("Sub", build.conv(x, 4, 4, 1), build.conv(x, 4, 4, 1))
    x = build("Relu", build("Sum", build.conv(x, 4, 4, 1), x, y))
    return build.case(build.dense(build("Flatten", x), 64, 4), ("N", 4))


@supported
def doubled() -> Case:
    """A map added to itself."""
    build = Build("doubled")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    x = build.relu_conv(build("Add", x, x), 4, 4, 1)
    return build.case(build.dense(build("Flatten", x), 64, 4), ("N", 4))


@supported
def skip_of_the_input() -> Case:
    """The input itself is added, and put beside a layer's result."""
    build = Build("skip_of_the_input")
    x = build("Relu", build("Add", "x", build.conv("x", 2, 2, **SAME)))
    x = build.conv(build("Concat", "x", x, axis=1), 4, 2, 1)
    return build.case(x, ("N", 2, 6, 6), sample=(2, 6, 6))


@supported
def concat_at_the_end() -> Case:
    """The network's output is two layers' results side by side."""
    build = Build("concat_at_the_end")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    y = build("Concat", build.conv(x, 4, 2, 1), build.conv(x, 4, 2, 1), axis=1)
    return build.case(y, ("N", 4, 4, 4))


@supported
def concat_in_front_of_dense() -> Case:
    """Two maps side by side, pooled, flattened: the dense layer takes both."""
    build = Build("concat_in_front_of_dense")
    x = build.relu_conv("x", 1, 2, 2, **HALF)
    x = build("Concat", build.conv(x, 2, 2, 1), build.relu_conv(x, 2, 2, **SAME), axis=1)
    x = build("MaxPool", build("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    return build.case(build.dense(build("Flatten", x), 16, 4), ("N", 4))
