#include <nitrix/nitrix_ops.h>

#include <math.h>
#include <stdio.h>

int main(void) {
    float direct[4][4] = {{0, 5, INFINITY, 9}, {5, 0, 2, INFINITY}, {INFINITY, 2, 0, 3}, {9, INFINITY, 3, 0}};
    float changing_once[4][4]; /* minutes between four stops, by one line or two */
    int64_t shape[2] = {4, 4};
    DLTensor a = {direct, {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, NULL, 0}, c = a;
    c.data = changing_once;
    if (nitrix_semiring_matmul(&a, &a, &c, "tropical_min_plus", NULL) != NITRIX_OK) {
        return fprintf(stderr, "%s\n", nitrix_last_error()), 1;
    }
    printf("from the first stop to the third: %g, served by %s\n", changing_once[0][2], nitrix_last_variant());
    return 0;
}
