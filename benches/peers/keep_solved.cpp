// Eigen's BiCGSTAB with the diagonal as preconditioner, kept solved under changes of b: the arguments, files
// and output of keep_solved.py, without LIBRARY, METHOD and PRECONDITIONER.
//
//   g++ -O3 -march=native -I/usr/include/eigen3 keep_solved.cpp -o keep_solved
#include <Eigen/Sparse>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

using Matrix = Eigen::SparseMatrix<double, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;
static const double TOLERANCE = 1e-8;

static double now() {
    timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec + 1e-9 * at.tv_nsec;
}

template <class T> static std::vector<T> read(std::ifstream &file, size_t count) {
    std::vector<T> values(count);
    file.read(reinterpret_cast<char *>(values.data()), count * sizeof(T));
    if (!file) throw std::runtime_error("a file is too short");
    return values;
}

struct Clocked {
    Eigen::BiCGSTAB<Matrix, Eigen::DiagonalPreconditioner<double>> solver;
    const Matrix &matrix;
    double strictness = 1.0;

    // Eigen's tolerance is relative to b, like ours.
    double solve(const Vector &b, Vector &x) {
        while (true) {
            solver.setTolerance(strictness * TOLERANCE);
            double started = now();
            Vector work = solver.solveWithGuess(b, x);
            double took = now() - started;
            if ((b - matrix * work).norm() <= TOLERANCE * b.norm()) {
                x = work;
                return took;
            }
            if (strictness < 1e-3) throw std::runtime_error("it does not converge");
            strictness *= 0.7;
        }
    }
};

int main(int count, char **arguments) {
    std::ifstream file(arguments[1], std::ios::binary);
    auto sizes = read<uint64_t>(file, 2);
    auto pointers = read<uint32_t>(file, sizes[0] + 1);
    auto columns = read<uint32_t>(file, sizes[1]);
    auto values = read<double>(file, sizes[1]);
    auto rhs = read<double>(file, sizes[0]);
    std::vector<int> outer(pointers.begin(), pointers.end()), inner(columns.begin(), columns.end());
    Matrix matrix = Eigen::Map<Matrix>(sizes[0], sizes[0], sizes[1], outer.data(), inner.data(), values.data());
    Vector b = Eigen::Map<Vector>(rhs.data(), rhs.size()), x = Vector::Zero(rhs.size());
    double seconds = atof(arguments[2]);
    Clocked clocked{{}, matrix};
    double started = now();
    clocked.solver.compute(matrix);
    double set_up = now() - started;
    double solve = clocked.solve(b, x);
    printf("{\"cold\": [%.9g], \"set_up\": %.9g, \"iterations\": %ld, \"kept\": [", set_up + solve, set_up,
           long(clocked.solver.iterations()));
    for (int at = 3; at < count; at++) {
        std::ifstream changes(arguments[at], std::ios::binary);
        auto shape = read<uint64_t>(changes, 2);
        auto rows = read<uint32_t>(changes, shape[0] * shape[1]);
        auto news = read<double>(changes, shape[0] * shape[1]);
        Vector changed = b, kept = x;
        double began = now();
        printf("%s{\"changes\": %ld, \"seconds\": [", at > 3 ? ", " : "", long(shape[1]));
        for (uint64_t round = 0; round < shape[0] && (round < 3 || now() - began < seconds); round++) {
            for (uint64_t k = round * shape[1]; k < (round + 1) * shape[1]; k++) changed[rows[k]] = news[k];
            printf("%s%.9g", round > 0 ? ", " : "", clocked.solve(changed, kept));
        }
        printf("]}");
    }
    printf("]}\n");
}
