"""Which lesson derives an operation at length: explanations and the page of all derivations lead there."""

from __future__ import annotations

LESSONS: dict[str, tuple[str, ...]] = {  # the name of a file in docs/lessons: operations
    "01_chain_rule": ("mul", "matmul", "tanh"),
    "02_broadcasting": ("broadcast_to", "sum_to", "sum", "mean"),
    "03_convolution_matrix": ("conv2d", "conv2d_weight_grad"),
    "04_transposed_convolution": ("conv_transpose2d",),
    "05_upconvolution": ("blur_filters", "unblur_filters", "upconv2d", "upconv2d_adjoint", "upconv2d_weight_grad",
                         "upsample_nearest"),
    "06_normalisation": ("normalize", "batch_norm", "instance_norm", "layer_norm"),
    "07_stable_losses": ("softplus", "sigmoid", "log_sigmoid", "softmax", "log_softmax", "logsumexp",
                         "mean_of"),
    "10_gradient_penalty": ("gate", "norm"),
    "12_cycle_subgradients": ("abs", "relu", "leaky_relu", "maximum"),
    "18_beyond_digits": ("pixel_norm", "minibatch_stddev"),
}


def lesson_of(operation: str) -> str:
    """The name of the lesson that derives an operation, or "".

    >>> lesson_of("conv2d"), lesson_of("reshape")
    ('03_convolution_matrix', '')
    """
    return next((lesson for lesson, operations in LESSONS.items() if operation in operations), "")


def reference(operation: str) -> str:
    """Words that lead to the lesson of an operation, or "".

    >>> reference("conv2d")
    'derived in lesson 3, docs/lessons/03_convolution_matrix.md'
    """
    lesson = lesson_of(operation)
    return f"derived in lesson {int(lesson[:2])}, docs/lessons/{lesson}.md" if lesson else ""
