"""The kernels as plain loops in float64: slow, but close to the formulas in their docstrings."""

import itertools

import numpy as np


def triples(H, W, OH, OW, KH, KW, stride, padding, dilation):
    """Every (i, j, k, l, p, q): output pixel (i, j) sees input pixel (p, q) through tap (k, l)."""
    (SH, SW), (PH, PW), (DH, DW) = stride, padding, dilation
    for i, j, k, l in itertools.product(range(OH), range(OW), range(KH), range(KW)):
        p, q = i * SH - PH + k * DH, j * SW - PW + l * DW
        if 0 <= p < H and 0 <= q < W:
            yield i, j, k, l, p, q


def conv_size(x, w, stride, padding, dilation):
    return tuple(
        (x.shape[a] + 2 * padding[a - 2] - dilation[a - 2] * (w.shape[a] - 1) - 1) // stride[a - 2] + 1 for a in (2, 3)
    )


def with_border(x, padding, reflect):
    """The image, and how many zeros are around it: a mirrored border is part of the image."""
    widths = ((0, 0), (0, 0), *((p, p) for p in padding))
    return (np.pad(x, widths, "reflect"), (0, 0)) if reflect else (x, padding)


def conv2d(x, w, b, stride, padding, dilation, reflect=False):
    x, padding = with_border(x, padding, reflect)
    OH, OW = conv_size(x, w, stride, padding, dilation)
    y = np.zeros((len(x), len(w), OH, OW))
    for i, j, k, l, p, q in triples(*x.shape[2:], OH, OW, *w.shape[2:], stride, padding, dilation):
        for n, o, c in itertools.product(range(len(x)), range(len(w)), range(x.shape[1])):
            y[n, o, i, j] += float(x[n, c, p, q]) * float(w[o, c, k, l])
    return y if b is None else y + np.asarray(b, np.float64)[:, None, None]


def conv_transpose2d(x, w, b, stride, padding, dilation, output_size):
    y = np.zeros((len(x), w.shape[1], *output_size))
    for i, j, k, l, p, q in triples(*output_size, *x.shape[2:], *w.shape[2:], stride, padding, dilation):
        for n, o, c in itertools.product(range(len(x)), range(len(w)), range(w.shape[1])):
            y[n, c, p, q] += float(x[n, o, i, j]) * float(w[o, c, k, l])
    return y if b is None else y + np.asarray(b, np.float64)[:, None, None]


def conv2d_weight_grad(x, gy, kernel_size, stride, padding, dilation, reflect=False):
    x, padding = with_border(x, padding, reflect)
    gw = np.zeros((gy.shape[1], x.shape[1], *kernel_size))
    for i, j, k, l, p, q in triples(*x.shape[2:], *gy.shape[2:], *kernel_size, stride, padding, dilation):
        for n, o, c in itertools.product(range(len(x)), range(gy.shape[1]), range(x.shape[1])):
            gw[o, c, k, l] += float(x[n, c, p, q]) * float(gy[n, o, i, j])
    return gw


def norm_axes(x, over):
    space = tuple(range(2, x.ndim))
    return {"batch": (0, *space), "instance": space, "layer": (1, *space)}[over]


def norm_stats(x, over, eps):
    x = x.astype(np.float64)
    mean, var = x.mean(norm_axes(x, over), keepdims=True), x.var(norm_axes(x, over), keepdims=True)
    return mean, var, 1 / np.sqrt(var + eps)


def per_channel(v, x):
    return v.astype(np.float64).reshape(1, -1, *(1,) * (x.ndim - 2))


def norm_apply(x, mean, rstd, gamma, beta):
    y = (x.astype(np.float64) - mean) * rstd
    y = y if gamma is None else y * per_channel(gamma, x)
    return y if beta is None else y + per_channel(beta, x)


def norm_grad(gy, x, mean, rstd, gamma, over):
    xhat = norm_apply(x, mean, rstd, None, None)
    axes, gy = norm_axes(x, over), gy.astype(np.float64)
    g = gy if gamma is None else gy * per_channel(gamma, x)
    gx = rstd * (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True))
    per_c = norm_axes(x, "batch")
    return gx, (gy * xhat).sum(per_c), gy.sum(per_c)


def upsample_nearest(x, scale):
    return x.repeat(scale[0], 2).repeat(scale[1], 3)


def block_sum(x, scale):
    N, C, H, W = x.shape
    y = np.zeros((N, C, H // scale[0], W // scale[1]))
    for i, j in np.ndindex(H, W):
        y[:, :, i // scale[0], j // scale[1]] += x[:, :, i, j]
    return y


def resample(x, rows, columns):
    y = x if rows is None else np.einsum("ph,nchw->ncpw", rows, x)
    return y if columns is None else np.einsum("qw,nchw->nchq", columns, y)


def pool_size(size, kernel, stride, padding, dilation, ceil):
    """Windows start every `stride` pixels from -padding on and end inside the padded input. With ceil, one more follows
    if they leave pixels out, even if these are padding; but it must not start in the padding behind the input."""
    starts, reach = list(range(-padding, size + padding, stride)), dilation * (kernel - 1)
    inside = [start for start in starts if start + reach < size + padding]
    left_out = not inside or inside[-1] + reach < size + padding - 1
    return len(inside) + (ceil and left_out and starts[len(inside)] < size)


def max_pool2d(x, kernel, stride, padding, dilation=(1, 1), ceil=False):
    OH, OW = (pool_size(*axis, ceil) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True))
    y, index = np.full((*x.shape[:2], OH, OW), -np.inf), np.zeros((*x.shape[:2], OH, OW), int)
    for i, j, k, l, p, q in triples(*x.shape[2:], OH, OW, *kernel, stride, padding, dilation):
        for n, c in np.ndindex(x.shape[:2]):
            value, best = x[n, c, p, q], y[n, c, i, j]
            if not np.isnan(best) and (np.isnan(value) or value > best):
                y[n, c, i, j], index[n, c, i, j] = value, k * kernel[1] + l
    return y, index


def pool_take(x, index, kernel, stride, padding, dilation=(1, 1)):
    y = np.zeros(index.shape)
    for i, j, k, l, p, q in triples(*x.shape[2:], *index.shape[2:], *kernel, stride, padding, dilation):
        mask = index[:, :, i, j] == k * kernel[1] + l
        y[:, :, i, j][mask] = x[:, :, p, q][mask]
    return y


def pool_put(g, index, kernel, stride, padding, input_size, dilation=(1, 1)):
    gx = np.zeros((*g.shape[:2], *input_size))
    for i, j, k, l, p, q in triples(*input_size, *g.shape[2:], *kernel, stride, padding, dilation):
        gx[:, :, p, q] += np.where(index[:, :, i, j] == k * kernel[1] + l, g[:, :, i, j], 0)
    return gx


def blur_filters(w, scale):
    (O, C, KH, KW), (SH, SW) = w.shape, scale
    y = np.zeros((C, O, KH + SH - 1, KW + SW - 1))
    for r, q, a, b in np.ndindex(*y.shape[2:], SH, SW):
        if 0 <= KH - 1 + a - r < KH and 0 <= KW - 1 + b - q < KW:
            y[:, :, r, q] += w[:, :, KH - 1 + a - r, KW - 1 + b - q].T
    return y


# ----------------------------------------------------------------------------------- the same numbers in another order


def stored_channels_last(x):
    """x with its second axis innermost in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def layouts(x):
    """x in every memory order that a kernel may get, all read-only."""
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
    wide[..., ::2] = x
    backwards = (slice(None, None, -1),) * x.ndim
    for stored in (
        np.ascontiguousarray(x),
        stored_channels_last(x),
        np.asfortranarray(x),
        wide[..., ::2],
        np.ascontiguousarray(x[backwards])[backwards],
    ):
        stored = stored.view()
        stored.flags.writeable = False
        yield stored


def is_channels_last(y):
    return np.moveaxis(y, 1, -1).flags.c_contiguous
