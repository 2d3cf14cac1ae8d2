// CHOLMOD and KLU on a system under single changes: factors SYSTEM.csr OPERATIONS (files as in keep_solved.py;
// the matrix symmetric, and definite or not). Prints one JSON line of medians, in seconds of processor time:
//
//   solve2        CHOLMOD: what one change of b does to x, on that entry's own path alone (sparse
//                 right-hand side)
//   updown_solve  CHOLMOD: a branch changes, the factor and the solution of L y = b follow
//   klu_solve     KLU: one solve
//   klu_refactor  KLU: a factorisation on the pattern there is, and a solve
//
//   gcc -O3 factors.c -I/usr/include/suitesparse -lcholmod -lklu -lm -o factors
#include <cholmod.h>
#include <klu.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// One operation is shorter than what the clock resolves well.
#define BATCH 16

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec + 1e-9 * at.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, count, sizeof *values, ascending);
    return values[(count - 1) / 2];
}

static uint64_t state = 88172645463325252u;

static int below(int count) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state % (uint64_t)count);
}

static void *read_all(FILE *file, size_t size, size_t count) {
    void *values = malloc(size * count);
    if (!values || fread(values, size, count, file) != count) exit(2);
    return values;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int batches = atoi(arguments[2]) / BATCH;
    FILE *file = fopen(arguments[1], "rb");
    if (!file) return 2;
    uint64_t *sizes = read_all(file, 8, 2);
    int n = (int)sizes[0], entries = (int)sizes[1];
    int *pointers = read_all(file, 4, n + 1), *rows = read_all(file, 4, entries);
    double *values = read_all(file, 8, entries), *rhs = read_all(file, 8, n);
    double *took = malloc(sizeof(double) * batches);

    cholmod_common common;
    cholmod_start(&common);
    common.supernodal = CHOLMOD_SIMPLICIAL;
    common.final_ll = 0;
    cholmod_sparse *whole = cholmod_allocate_sparse(n, n, entries, 1, 1, 0, CHOLMOD_REAL, &common);
    for (int k = 0; k <= n; k++) ((int *)whole->p)[k] = pointers[k];
    for (int k = 0; k < entries; k++) ((int *)whole->i)[k] = rows[k], ((double *)whole->x)[k] = values[k];
    cholmod_sparse *matrix = cholmod_copy(whole, 1, 1, &common);
    cholmod_factor *factor = cholmod_analyze(matrix, &common);
    if (!cholmod_factorize(matrix, factor, &common) || common.status < 0) return 3;
    // Columns with room to grow, as updates need them.
    cholmod_change_factor(CHOLMOD_REAL, 0, 0, 0, 0, factor, &common);
    cholmod_dense *b = cholmod_zeros(n, 1, CHOLMOD_REAL, &common);
    cholmod_sparse *set = cholmod_allocate_sparse(n, 1, 1, 1, 1, 0, CHOLMOD_PATTERN, &common);
    ((int *)set->p)[0] = 0, ((int *)set->p)[1] = 1;
    cholmod_dense *x = NULL, *y = NULL, *e = NULL;
    cholmod_sparse *reached = NULL;
    for (int batch = 0; batch < batches; batch++) {
        double started = now();
        for (int k = 0; k < BATCH; k++) {
            int row = below(n);
            ((int *)set->i)[0] = row;
            ((double *)b->x)[row] = 1e-3 * rhs[row];
            cholmod_solve2(CHOLMOD_A, factor, b, set, &x, &reached, &y, &e, &common);
            ((double *)b->x)[row] = 0.0;
        }
        took[batch] = (now() - started) / BATCH;
    }
    double solve2 = median(took, batches);

    int *inverse = malloc(sizeof(int) * n);
    for (int k = 0; k < n; k++) inverse[((int *)factor->Perm)[k]] = k;
    cholmod_dense *right = cholmod_zeros(n, 1, CHOLMOD_REAL, &common);
    for (int k = 0; k < n; k++) ((double *)right->x)[k] = rhs[k];
    cholmod_dense *permuted = cholmod_solve(CHOLMOD_P, factor, right, &common);
    cholmod_dense *forward = cholmod_solve(CHOLMOD_L, factor, permuted, &common);
    cholmod_dense *delta = cholmod_zeros(n, 1, CHOLMOD_REAL, &common);
    cholmod_sparse *branch = cholmod_allocate_sparse(n, 1, 2, 1, 1, 0, CHOLMOD_REAL, &common);
    ((int *)branch->p)[0] = 0, ((int *)branch->p)[1] = 2;
    // Each branch goes up and comes down again later, so that the matrix stays where it is.
    int *branch_rows = malloc(sizeof(int) * 2 * BATCH);
    double *weights = malloc(sizeof(double) * BATCH);
    for (int batch = 0; batch < batches; batch++) {
        int is_update = batch % 2 == 0;
        for (int k = 0; is_update && k < BATCH; k++) {
            int entry, row;
            do {
                entry = below(entries);
                for (row = below(n), row = 0; pointers[row + 1] <= entry; row++) {}
            } while (rows[entry] == row);
            int one = inverse[row], other = inverse[rows[entry]];
            branch_rows[2 * k] = one < other ? one : other;
            branch_rows[2 * k + 1] = one < other ? other : one;
            weights[k] = sqrt(1e-3 * fabs(values[entry]));
        }
        double started = now();
        for (int k = 0; k < BATCH; k++) {
            ((int *)branch->i)[0] = branch_rows[2 * k], ((int *)branch->i)[1] = branch_rows[2 * k + 1];
            ((double *)branch->x)[0] = weights[k], ((double *)branch->x)[1] = -weights[k];
            if (!cholmod_updown_solve(is_update, branch, factor, forward, delta, &common)) return 4;
        }
        took[batch] = (now() - started) / BATCH;
    }
    double updown = median(took, batches);

    klu_common klu;
    klu_defaults(&klu);
    klu_symbolic *symbolic = klu_analyze(n, pointers, rows, &klu);
    klu_numeric *numeric = klu_factor(pointers, rows, values, symbolic, &klu);
    if (!numeric) return 5;
    int turns = batches < 200 ? batches : 200;
    double *whole_took = malloc(sizeof(double) * turns), *solution = malloc(sizeof(double) * n);
    for (int turn = 0; turn < turns; turn++) {
        for (int k = 0; k < n; k++) solution[k] = rhs[k];
        double started = now();
        klu_tsolve(symbolic, numeric, n, 1, solution, &klu);
        took[turn] = now() - started;
    }
    double solve = median(took, turns);
    for (int turn = 0; turn < turns; turn++) {
        for (int k = 0; k < n; k++) solution[k] = rhs[k];
        double started = now();
        if (!klu_refactor(pointers, rows, values, symbolic, numeric, &klu)) return 6;
        klu_tsolve(symbolic, numeric, n, 1, solution, &klu);
        whole_took[turn] = now() - started;
    }
    double refactor = median(whole_took, turns);
    printf("{\"solve2\": %.9g, \"updown_solve\": %.9g, \"klu_solve\": %.9g, \"klu_refactor\": %.9g}\n", solve2,
           updown, solve, refactor);
    return 0;
}
