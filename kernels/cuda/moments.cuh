// Moments of what a product writes, for the norm that reads it next: they save norm.cu's norm_moments, which reads all of it again.
#pragma once
// Of each column in the first `count` rows, at least one, of a tile (HEIGHT, PITCH) in shared memory, which is overwritten, three
// numbers `apart` from each other: that of the first row, the mean of what others differ from it, and the squares about this mean.
// All threads of a block call it after a barrier; GROUPS of them share a column, each some rows one below the other, merged in
// order (Chan, Golub & LeVeque, 1983). So the mean is rounded while it is small, as in norm.cu.
template <int WIDTH, int HEIGHT, int PITCH, int COUNT>
__device__ __forceinline__ void column_moments(REAL* tile, int count, int columns, REAL* to, long long apart) {
  constexpr int GROUPS = COUNT / WIDTH, SHARE = HEIGHT / GROUPS;
  static_assert(GROUPS * WIDTH == COUNT && SHARE * GROUPS == HEIGHT && 2 * GROUPS * WIDTH <= HEIGHT * PITCH, "tile and threads");
  int column = threadIdx.x % WIDTH, group = threadIdx.x / WIDTH, begin = group * SHARE, end = min(count, begin + SHARE);
  REAL K = tile[column], n = max(1, end - begin), mean = 0, square = 0;
#pragma unroll 8
  for (int r = begin; r < end; r++) mean += tile[r * PITCH + column] - K;
  mean /= n;
#pragma unroll 8
  for (int r = begin; r < end; r++) {
    REAL d = tile[r * PITCH + column] - K - mean;
    square += d * d;
  }
  if (GROUPS > 1) {
    __syncthreads();  // all rows are read
    tile[2 * group * WIDTH + column] = mean, tile[(2 * group + 1) * WIDTH + column] = square;
    __syncthreads();
    for (int g = 1; g < GROUPS && g * SHARE < count; g++) {
      REAL n2 = min(SHARE, count - g * SHARE), part = n2 / (n + n2), d = tile[2 * g * WIDTH + column] - mean;
      mean += d * part, square += tile[(2 * g + 1) * WIDTH + column] + d * d * n * part;
      n += n2;
    }
  }
  if (group == 0 && column < columns) to[column] = K, to[column + apart] = mean, to[column + 2 * apart] = square;
}
