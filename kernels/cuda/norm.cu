// Batch, instance and layer norm: statistics, normalisation and its gradient, on groups of tables x[g, r, c].
//
//     batch      one group, rows = all pixels        instance   a group per image, rows = its pixels
//     layer      a group per image; for statistics one channel whose rows are all the image's numbers
//
// Threads   a block takes a tile of up to 32 columns (eight float4: 128 bytes a row) and one part of a group's rows; a
//           thread, one pack of columns and every TY-th row of the part.
// Traffic   norm_moments reads x once; norm_apply reads x, writes y: together 12 bytes a number in float32.
//           norm_grad_sums reads gy, x (and y for the gate), norm_grad_apply reads them again and writes gx: 28 bytes.
//           64 x 64 images of 32 x 32 (17 MB): the second readings come from L2 where it holds the three (H100: 50 MB).
// Launches  where a product has left moments of x: merge 1, or with apply 1 together. Else moments 1: the last block of a tile's column merges the partial results (2 if pixels are side by side); apply 1; gradient 2: every block of norm_grad_apply adds up the partial
//           sums of its own tile, from L2, at most a third of what it reads in any case, which saves a launch.
// Accuracy  per column a thread keeps (n, mean, squares about that mean) of d = x - K, K = the group's first pixel, and
//           merges batches of rows into it (Chan, Golub & LeVeque, 1983): no sum of squares that could cancel, and the
//           mean is rounded while it is small. Float32, mean 1000 and deviation 0.01: var is as good as x's own rounding.
// Versions  float4 (VEC=4) or double2 where a row is a number of whole packs and aligned, else VEC=1. Images of three
//           channels have four pixels side by side in a row of W = fold * C = 12 columns.
// Twin      kernels/cpu/norm.py                                 Checked by tests/cuda/test_cuda_norm.py, emulated and on a GPU.
#include "common.cuh"
#include "pack.cuh"
#include "tickets.cuh"

// (n, mean, squares) of two sets of numbers, one not empty, become those of both.
__device__ __forceinline__ void merge(REAL& n, Pack& mean, Pack& squares, REAL n2, const Pack& mean2, const Pack& squares2) {
  REAL both = n + n2, part = n2 / both, weight = n * part;
  for (int v = 0; v < VEC; v++) {
    REAL apart = mean2.v[v] - mean.v[v];
    mean.v[v] += apart * part;
    squares.v[v] += squares2.v[v] + apart * apart * weight;
  }
  n = both;
}

// Merge a block's rows in shared memory, by a tree; afterwards row 0 has them all.
__device__ __forceinline__ void merge_rows(REAL& n, Pack& mean, Pack& squares, REAL* ns, Pack* means, Pack* squareses) {
  int lane = threadIdx.x, row = threadIdx.y, lanes = blockDim.x, me = row * lanes + lane;
  ns[me] = n, means[me] = mean, squareses[me] = squares;
  for (int left = blockDim.y; left > 1;) {
    int half = (left + 1) / 2, other = me + half * lanes;
    __syncthreads();
    if (row + half < left && ns[other] > 0) {
      merge(n, mean, squares, ns[other], means[other], squareses[other]);
      ns[me] = n, means[me] = mean, squareses[me] = squares;
    }
    left = half;
  }
}

template <class T> __device__ __forceinline__ Pack per_channel(const T* p, int column, int C) {  // p[c] for the channels of a pack
  Pack values;
  for (int v = 0; v < VEC; v++) values.v[v] = p[(column + v) % C];
  return values;
}

// Results, or with several parts or pixels side by side (parts > 1 or W > C) partial ones for norm_combine.
__device__ __forceinline__ void write(REAL* mean, REAL* var, REAL* rstd, long long at, const Pack& centre, const Pack& variance,
                                      REAL eps) {
  store(mean + at, centre);
  store(var + at, variance);
  for (int v = 0; rstd && v < VEC; v++) rstd[at + v] = 1 / sqrt(variance.v[v] + eps);
}

// From partial moments part_means, part_squares[g, part, fold, c] to mean, var[g, c], in a block's columns.
__device__ __forceinline__ void combine(const STORE* x, const REAL* part_means, const REAL* part_squares, REAL* mean, REAL* var,
                                        REAL* rstd, REAL eps, int rows, int W, int C, int parts, int share, int g, REAL* ns,
                                        Pack* means, Pack* squareses) {
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * VEC, fold = W / C;
  REAL n = 0;
  Pack centre = same(0), squares = same(0);
  if (column < C)
    for (int e = threadIdx.y; e < parts * fold; e += blockDim.y) {
      long long at = ((long long)g * parts * fold + e) * C + column;
      int count = min(share, rows - e / fold * share);
      merge(n, centre, squares, (REAL)count, load(part_means + at), load(part_squares + at));
    }
  merge_rows(n, centre, squares, ns, means, squareses);
  if (threadIdx.y == 0 && column < C) {
    Pack K = load(x + (long long)g * rows * W + column);
    for (int v = 0; v < VEC; v++) centre.v[v] += K.v[v], squares.v[v] /= n;
    write(mean, var, rstd, (long long)g * C + column, centre, squares, eps);
  }
}

// A block that has written mean, var[g, c] of its columns: the last of all groups' blocks moves the running statistics, group by
// group: running += momentum (group's - running), the variance unbiased. Without running statistics, nothing happens.
__device__ __forceinline__ void move_running(const REAL* mean, const REAL* var, REAL* running_mean, REAL* running_var,
                                             REAL momentum, REAL unbiased, int* tickets, int groups, int C, bool& last) {
  if (!running_mean || (groups > 1 && !last_of(groups, tickets + blockIdx.y, last))) return;
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * VEC;
  if (threadIdx.y > 0 || column >= C) return;
  for (int c = column; c < column + VEC; c++) {
    REAL centre = running_mean[c], spread = running_var[c];
    for (long long g = 0; g < groups; g++) {
      centre += momentum * (mean[g * C + c] - centre);
      spread += momentum * (var[g * C + c] * unbiased - spread);
    }
    running_mean[c] = centre, running_var[c] = spread;
  }
}

// With tickets, or without partial results, mean, var, rstd[g, c]; else partial results in part_means, part_squares.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_moments(const STORE* __restrict__ x, REAL* part_means, REAL* part_squares, int* tickets, REAL* mean, REAL* var,
             REAL* __restrict__ rstd, REAL eps, int rows, int W, int C, int parts, int share, REAL* running_mean,
             REAL* running_var, REAL momentum, REAL unbiased, int* group_tickets) {
  __shared__ Pack means[THREADS], squareses[THREADS];
  __shared__ REAL ns[THREADS];
  __shared__ bool last;
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * VEC;
  int g = blockIdx.x / parts, part = blockIdx.x % parts, end = min(rows, (part + 1) * share);
  const STORE* from = x + (long long)g * rows * W;
  REAL n = 0;
  Pack K = same(0), centre = same(0), squares = same(0);
  if (column < W) {
    K = per_channel(from, column, C);
    for (int r = part * share + threadIdx.y; r < end; r += BATCH * blockDim.y) {
      Pack d[BATCH];
      int count = 0;
#pragma unroll
      for (int i = 0; i < BATCH; i++)  // beyond the end the last row again, so that no branch separates the loads
        d[i] = load(from + (long long)min(r + i * (int)blockDim.y, end - 1) * W + column);
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        bool inside = r + i * (int)blockDim.y < end;
        count += inside;
        for (int v = 0; v < VEC; v++) d[i].v[v] = inside ? d[i].v[v] - K.v[v] : (REAL)0;
      }
      Pack mean2 = same(0), squares2 = same(0);
      REAL inverse = (REAL)1 / count;
#pragma unroll
      for (int v = 0; v < VEC; v++) {
#pragma unroll
        for (int i = 0; i < BATCH; i++) mean2.v[v] += d[i].v[v];
        mean2.v[v] *= inverse;
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
          REAL apart = d[i].v[v] - mean2.v[v];
          if (i < count) squares2.v[v] += apart * apart;
        }
      }
      merge(n, centre, squares, (REAL)count, mean2, squares2);
    }
  }
  merge_rows(n, centre, squares, ns, means, squareses);
  if (threadIdx.y == 0 && column < W) {
    if (part_means) {
      write(part_means, part_squares, nullptr, (long long)blockIdx.x * W + column, centre, squares, eps);
    } else {
      for (int v = 0; v < VEC; v++) centre.v[v] += K.v[v], squares.v[v] /= n;
      write(mean, var, rstd, (long long)blockIdx.x * W + column, centre, squares, eps);
    }
  }
  if (part_means) {
    if (!tickets || !last_of(parts, tickets + g * gridDim.y + blockIdx.y, last)) return;
    combine(x, part_means, part_squares, mean, var, rstd, eps, rows, W, C, parts, share, g, ns, means, squareses);
  }
  move_running(mean, var, running_mean, running_var, momentum, unbiased, group_tickets, gridDim.x / parts, C, last);
}

// The second launch, where there are no tickets; grid.x = groups.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_combine(const STORE* __restrict__ x, const REAL* __restrict__ part_means, const REAL* __restrict__ part_squares,
             REAL* mean, REAL* var, REAL* __restrict__ rstd, REAL eps, int rows, int W, int C, int parts, int share,
             REAL* running_mean, REAL* running_var, REAL momentum, REAL unbiased, int* group_tickets) {
  __shared__ Pack means[THREADS], squareses[THREADS];
  __shared__ REAL ns[THREADS];
  __shared__ bool last;
  combine(x, part_means, part_squares, mean, var, rstd, eps, rows, W, C, parts, share, blockIdx.x, ns, means, squareses);
  move_running(mean, var, running_mean, running_var, momentum, unbiased, group_tickets, gridDim.x, C, last);
}

// What a product has left in the parts of moments.cuh: moments (3, phases * blocks, C); of each phase, `tiles` parts of `height`
// of a group's `rows` rows, which are all rows or whole parts. Afterwards row 0 of a block's threads, and for all after a
// barrier the shared memory, has (n, mean - K, squares) of the group g; returns K.
__device__ __forceinline__ Pack merge_parts(const REAL* moments, int column, int C, int g, int rows, int height, int tiles, int phases,
                                            int blocks, REAL* ns, Pack* means, Pack* squareses) {
  REAL n = 0;
  Pack K = same(0), centre = same(0), squares = same(0);
  long long apart = (long long)phases * blocks * C;
  if (column < C) {
    K = load(moments + (long long)g * tiles * C + column);
    for (int e = threadIdx.y; e < phases * tiles; e += blockDim.y) {
      int tile = e % tiles;
      const REAL* from = moments + ((long long)(e / tiles) * blocks + g * tiles + tile) * C + column;
      Pack first = load(from), mean2 = load(from + apart);
      for (int v = 0; v < VEC; v++) mean2.v[v] += first.v[v] - K.v[v];
      merge(n, centre, squares, (REAL)min(height, rows - tile * height), mean2, load(from + 2 * apart));
    }
  }
  merge_rows(n, centre, squares, ns, means, squareses);
  return K;
}

// mean, var, rstd[g, c] from that; grid.x = groups.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_merge(const REAL* __restrict__ moments, REAL* mean, REAL* var, REAL* __restrict__ rstd, REAL eps, int C, int rows, int height,
           int tiles, int phases, int blocks, REAL* running_mean, REAL* running_var, REAL momentum, REAL unbiased, int* group_tickets) {
  __shared__ Pack means[THREADS], squareses[THREADS];
  __shared__ REAL ns[THREADS];
  __shared__ bool last;
  int lane = threadIdx.x, column = (blockIdx.y * blockDim.x + lane) * VEC, g = blockIdx.x;
  Pack centre = merge_parts(moments, column, C, g, rows, height, tiles, phases, blocks, ns, means, squareses), squares;
  if (threadIdx.y == 0 && column < C) {
    for (int v = 0; v < VEC; v++) centre.v[v] += means[lane].v[v], squares.v[v] = squareses[lane].v[v] / ns[lane];
    write(mean, var, rstd, (long long)g * C + column, centre, squares, eps);
  }
  move_running(mean, var, running_mean, running_var, momentum, unbiased, group_tickets, gridDim.x, C, last);
}

// The rows of a block in its columns, from `first` on, ROWS at a time: y = leaky_relu((x - centre) scale + shift + addend), without
// an addend nullptr.
template <int ROWS, class T>
__device__ __forceinline__ void apply_rows(const T* x, const T* addend, T* y, long long first, int from, int end, int W,
                                           const Pack& centre, const Pack& scale, const Pack& shift, REAL slope) {
  for (int r = from + threadIdx.y; r < end; r += ROWS * blockDim.y) {
    Pack batch[ROWS], more[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
      long long at = first + (long long)min(r + i * (int)blockDim.y, end - 1) * W;
      batch[i] = load(x + at), more[i] = addend ? load(addend + at) : same(0);
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
      for (int v = 0; v < VEC; v++) {
        REAL z = (batch[i].v[v] - centre.v[v]) * scale.v[v] + shift.v[v];
        batch[i].v[v] = rectified(addend ? z + more[i].v[v] : z, slope);
      }
      int at = r + i * (int)blockDim.y;
      if (at < end) store(y + first + (long long)at * W, batch[i]);
    }
  }
}

// norm_merge and norm_apply at once, W = C: every block merges the parts of its own columns, the first of a group writes the results.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
norm_merge_apply(const STORE* __restrict__ x, const REAL* __restrict__ moments, REAL* mean, REAL* var, REAL* __restrict__ rstd,
                 REAL eps, const REAL* __restrict__ gamma, const REAL* __restrict__ beta, const STORE* __restrict__ addend, REAL slope,
                 STORE* __restrict__ y, int rows, int C, int parts, int share, int left_rows, int height, int tiles, int phases,
                 int blocks,
                 REAL* running_mean, REAL* running_var, REAL momentum, REAL unbiased, int* group_tickets) {
  __shared__ Pack means[THREADS], squareses[THREADS];
  __shared__ REAL ns[THREADS];
  __shared__ bool last;
  int lane = threadIdx.x, column = (blockIdx.y * blockDim.x + lane) * VEC;
  int g = blockIdx.x / parts, part = blockIdx.x % parts, end = min(rows, (part + 1) * share);
  Pack centre = merge_parts(moments, column, C, g, left_rows, height, tiles, phases, blocks, ns, means, squareses);
  __syncthreads();  // row 0 is final
  Pack squares, scale;
  for (int v = 0; v < VEC && column < C; v++) {
    centre.v[v] += means[lane].v[v], squares.v[v] = squareses[lane].v[v] / ns[lane];
    scale.v[v] = 1 / sqrt(squares.v[v] + eps) * (gamma ? gamma[column + v] : (REAL)1);
  }
  if (part == 0) {  // the same for all threads of a block
    if (threadIdx.y == 0 && column < C) write(mean, var, rstd, (long long)g * C + column, centre, squares, eps);
    move_running(mean, var, running_mean, running_var, momentum, unbiased, group_tickets, gridDim.x / parts, C, last);
  }
  if (column >= C) return;
  Pack shift = beta ? load(beta + column) : same(0);
  long long first = (long long)g * rows * C + column;
  if (addend)  // two arrays, so that loads in flight and registers stay as many
    apply_rows<BATCH / 2>(x, addend, y, first, part * share, end, C, centre, scale, shift, slope);
  else
    apply_rows<BATCH>(x, (const STORE*)nullptr, y, first, part * share, end, C, centre, scale, shift, slope);
}

// y = leaky_relu(gamma (x - mean) rstd + beta + addend); slope 1 means without leaky_relu, addend nullptr without an addend. layer:
// one mean per group, not per channel.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_apply(const STORE* __restrict__ x, const REAL* __restrict__ mean, const REAL* __restrict__ rstd,
           const REAL* __restrict__ gamma, const REAL* __restrict__ beta, const STORE* __restrict__ addend, REAL slope,
           STORE* __restrict__ y, int rows, int W, int C, int parts, int share, bool layer) {
  int column = (blockIdx.y * blockDim.x + threadIdx.x) * VEC;
  int g = blockIdx.x / parts, part = blockIdx.x % parts, end = min(rows, (part + 1) * share);
  if (column >= W) return;
  Pack centre = layer ? same(mean[g]) : per_channel(mean + (long long)g * C, column, C);
  Pack scale = layer ? same(rstd[g]) : per_channel(rstd + (long long)g * C, column, C);
  Pack shift = beta ? per_channel(beta, column, C) : same(0);
  for (int v = 0; gamma && v < VEC; v++) scale.v[v] *= gamma[(column + v) % C];
  long long first = (long long)g * rows * W + column;
  if (addend)  // one row: with two, 42 registers for 40, and 5 blocks for 6 on a multiprocessor
    apply_rows<1>(x, addend, y, first, part * share, end, W, centre, scale, shift, slope);
  else
    apply_rows<BATCH>(x, (const STORE*)nullptr, y, first, part * share, end, W, centre, scale, shift, slope);
}

#define PAIR (BATCH / 2)  // rows of gy, x and y together

// Every TY-th row from r on of three tables; beyond the end the last row again, so that no branch separates the loads.
__device__ __forceinline__ void load_rows(const STORE* gy, const STORE* x, const STORE* y, int r, int end, int W, Pack* g,
                                          Pack* pixels, Pack* on) {
#pragma unroll
  for (int i = 0; i < PAIR; i++) {
    long long at = (long long)min(r + i * (int)blockDim.y, end - 1) * W;
    g[i] = load(gy + at), pixels[i] = load(x + at), on[i] = y ? load(y + at) : same(1);
  }
}

// Partial sums over rows of g and of g (x - mean); g = gy through the gate of y, if there is a y.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_grad_sums(const STORE* __restrict__ gy, const STORE* __restrict__ x, const STORE* __restrict__ y, REAL slope,
               const REAL* __restrict__ mean, REAL* __restrict__ sum_g, REAL* __restrict__ sum_gx, int rows, int W, int C,
               int parts, int share, bool layer) {
  __shared__ Pack sums[THREADS], sums_x[THREADS];
  int lane = threadIdx.x, me = threadIdx.y * blockDim.x + lane, column = (blockIdx.y * blockDim.x + lane) * VEC;
  int g = blockIdx.x / parts, part = blockIdx.x % parts, end = min(rows, (part + 1) * share);
  Pack sum = same(0), sum_x = same(0);
  if (column < W) {
    Pack centre = layer ? same(mean[g]) : per_channel(mean + (long long)g * C, column, C);
    long long first = (long long)g * rows * W + column;
    for (int r = part * share + threadIdx.y; r < end; r += PAIR * blockDim.y) {
      Pack cotangents[PAIR], pixels[PAIR], on[PAIR];
      load_rows(gy + first, x + first, y ? y + first : y, r, end, W, cotangents, pixels, on);
#pragma unroll
      for (int i = 0; i < PAIR; i++)
        for (int v = 0; v < VEC; v++) {
          REAL open = r + i * (int)blockDim.y < end ? gated(cotangents[i].v[v], on[i].v[v], slope) : (REAL)0;
          sum.v[v] += open;
          sum_x.v[v] += open * (pixels[i].v[v] - centre.v[v]);
        }
    }
  }
  sums[me] = sum, sums_x[me] = sum_x;
  add_rows(sums, lane, threadIdx.y, blockDim.x, blockDim.y);
  add_rows(sums_x, lane, threadIdx.y, blockDim.x, blockDim.y);
  if (threadIdx.y == 0 && column < W) {
    store(sum_g + (long long)blockIdx.x * W + column, sums[lane]);
    store(sum_gx + (long long)blockIdx.x * W + column, sums_x[lane]);
  }
}

// gx = rstd (g - mean_over(g) - xhat mean_over(g xhat)) with g = gamma gy; block 0 of every tile writes ggamma and gbeta.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_grad_apply(const STORE* __restrict__ gy, const STORE* __restrict__ x, const STORE* __restrict__ y, REAL slope,
                const REAL* __restrict__ mean, const REAL* __restrict__ rstd, const REAL* __restrict__ gamma,
                const REAL* __restrict__ sum_g, const REAL* __restrict__ sum_gx, STORE* __restrict__ gx,
                REAL* __restrict__ ggamma, REAL* __restrict__ gbeta, int groups, int rows, int W, int C, int parts, int share,
                bool layer) {
  __shared__ Pack sums[THREADS], sums_x[THREADS];
  int lane = threadIdx.x, row = threadIdx.y, me = row * blockDim.x + lane;
  int column = (blockIdx.y * blockDim.x + lane) * VEC;
  int g = blockIdx.x / parts, part = blockIdx.x % parts, end = min(rows, (part + 1) * share);
  int lines = parts * (W / C);  // rows of C partial sums that a group has
  const REAL *mine = sum_g + (long long)g * lines * C, *mine_x = sum_gx + (long long)g * lines * C;

  Pack total = same(0), total_x = same(0);
  if (layer) {  // one mean for all channels: the block adds up everything, as a single column
    for (int e = me; e < lines * C; e += blockDim.x * blockDim.y) {
      REAL weight = gamma ? gamma[e % C] : (REAL)1;
      total.v[0] += weight * mine[e];
      total_x.v[0] += weight * mine_x[e];
    }
  } else if (column < W) {
    for (int e = row; e < lines; e += BATCH * blockDim.y)
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        int at = e + i * (int)blockDim.y;
        for (int v = 0; v < VEC; v++) {
          long long one = (long long)min(at, lines - 1) * C + (column + v) % C;
          total.v[v] += at < lines ? mine[one] : (REAL)0;
          total_x.v[v] += at < lines ? mine_x[one] : (REAL)0;
        }
      }
  }
  int lanes = layer ? 1 : blockDim.x, threads = blockDim.x * blockDim.y;
  sums[me] = total, sums_x[me] = total_x;
  add_rows(sums, me % lanes, me / lanes, lanes, threads / lanes);
  add_rows(sums_x, me % lanes, me / lanes, lanes, threads / lanes);
  total = sums[layer ? 0 : lane], total_x = sums_x[layer ? 0 : lane];

  if (column < W) {
    Pack a, b, c, centre;
    REAL inverse = (REAL)1 / ((REAL)rows * (W / C) * (layer ? C : 1));
    for (int v = 0; v < VEC; v++) {
      int channel = (column + v) % C, k = layer ? 0 : v;
      long long at = layer ? g : (long long)g * C + channel;
      REAL weight = gamma ? gamma[channel] : (REAL)1, r = rstd[at], inside = (layer ? (REAL)1 : weight) * inverse;
      centre.v[v] = mean[at];
      a.v[v] = r * weight;
      b.v[v] = -r * r * r * total_x.v[k] * inside;
      c.v[v] = -r * total.v[k] * inside;
    }
    long long first = (long long)g * rows * W + column;
    for (int r = part * share + row; r < end; r += PAIR * blockDim.y) {
      Pack cotangents[PAIR], pixels[PAIR], on[PAIR];
      load_rows(gy + first, x + first, y ? y + first : y, r, end, W, cotangents, pixels, on);
#pragma unroll
      for (int i = 0; i < PAIR; i++) {
        for (int v = 0; v < VEC; v++)
          cotangents[i].v[v] = a.v[v] * gated(cotangents[i].v[v], on[i].v[v], slope) +
                         (b.v[v] * (pixels[i].v[v] - centre.v[v]) + c.v[v]);
        int at = r + i * (int)blockDim.y;
        if (at < end) store(gx + first + (long long)at * W, cotangents[i]);
      }
    }
  }

  if (blockIdx.x > 0) return;  // the same for all threads of a block
  bool known = groups == 1 && !layer;  // then sums already holds them
  if (!known) {
    __syncthreads();
    total = same(0), total_x = same(0);
    for (long long e = row; e < (long long)groups * lines; e += blockDim.y)
      for (int v = 0; v < VEC && column + v < C; v++) {
        long long group = e / lines, at = layer ? group : group * C + column + v;
        total.v[v] += sum_g[e * C + column + v];
        total_x.v[v] += sum_gx[e * C + column + v] * rstd[at];
      }
    sums[me] = total, sums_x[me] = total_x;
    add_rows(sums, lane, row, blockDim.x, blockDim.y);
    add_rows(sums_x, lane, row, blockDim.x, blockDim.y);
  }
  if (row == 0)
    for (int v = 0; v < VEC && column + v < C; v++) {
      gbeta[column + v] = sums[lane].v[v];
      ggamma[column + v] = sums_x[lane].v[v] * (known ? rstd[column + v] : (REAL)1);
    }
}

// Running statistics, one thread per channel: running += momentum (batch's - running), the variance unbiased.
extern "C" __global__ void __launch_bounds__(THREADS)
update_running(REAL* __restrict__ running_mean, REAL* __restrict__ running_var, const REAL* __restrict__ mean,
               const REAL* __restrict__ var, REAL momentum, REAL unbiased, int C) {
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= C) return;
  running_mean[c] += momentum * (mean[c] - running_mean[c]);
  running_var[c] += momentum * (var[c] * unbiased - running_var[c]);
}
