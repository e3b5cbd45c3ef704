/* The sizes of a convolution, in the order in which the direct kernels take them. */
#ifndef MINIGAN_DIRECT_H
#define MINIGAN_DIRECT_H
#include "kernels.h"

enum { I_N, I_H, I_W, I_C, I_OH, I_OW, I_O, I_KH, I_KW, I_SH, I_SW, I_PH, I_PW, I_DH, I_DW };

/* None is empty or runs backwards, and none so large that a place could overflow. */
static inline int are_sizes(const long *s)
{
    for (int k = I_N; k <= I_DW; k++)
        if (s[k] < (k == I_PH || k == I_PW ? 0 : 1) || s[k] > (1L << 31)) return 0;
    return 1;
}
#endif
