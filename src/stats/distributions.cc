/* SPDX-License-Identifier: MIT */
/*
 * The one C++ file: Boost.Math for distributions, Eigen for least squares, behind the C face of stats.h. It is
 * compiled without exceptions (llem-worker must not carry an unwinder that needs a newer libc): bad input is NaN
 * through a Boost policy; memory that runs out ends the program, as everywhere in this program (GLib does the same).
 */
#include "stats/stats.h"

/* Some header of Boost includes <iostream>, whose static initialiser would drag the whole of the streams and an
 * unwinder into llem-worker. Nothing here prints: the header's own guard keeps it out. */
#define _GLIBCXX_IOSTREAM 1

#include <Eigen/Dense>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <limits>

/* Boost declares these, and asks for them where there are no exceptions. The policy below leaves no way to get here. */
namespace boost
{
struct source_location;
void throw_exception(const std::exception &)
{
    std::abort();
}
void throw_exception(const std::exception &, const source_location &)
{
    std::abort();
}
} // namespace boost

namespace
{

namespace bm = boost::math;
namespace bp = boost::math::policies;

using quiet = bp::policy<bp::domain_error<bp::errno_on_error>, bp::pole_error<bp::errno_on_error>,
                         bp::overflow_error<bp::errno_on_error>, bp::evaluation_error<bp::errno_on_error>,
                         bp::rounding_error<bp::errno_on_error>, bp::indeterminate_result_error<bp::errno_on_error>>;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

bool is_probability(double p)
{
    return p > 0 && p < 1;
}

bool is_df(double df)
{
    return df > 0 && std::isfinite(df);
}

bool all_finite(const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!std::isfinite(x[i]))
            return false;
    }
    return true;
}

using row_matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/* The columns the pivoting kept, in pivot order, hold the solution; the others are aliased and stay NaN. */
void scatter(const Eigen::VectorXd &z, const Eigen::MatrixXd &cov, const Eigen::VectorXi &pivot, Eigen::Index columns,
             double *ret_coef, double *ret_cov)
{
    for (Eigen::Index j = 0; j < columns; j++)
        ret_coef[j] = not_a_number;
    for (Eigen::Index j = 0; ret_cov != nullptr && j < columns * columns; j++)
        ret_cov[j] = not_a_number;
    for (Eigen::Index j = 0; j < z.size(); j++) {
        ret_coef[pivot[j]] = z[j];
        for (Eigen::Index k = 0; ret_cov != nullptr && k < z.size(); k++)
            ret_cov[pivot[j] * columns + pivot[k]] = cov(j, k);
    }
}

bool solve(const double *x, size_t rows, size_t columns, const double *y, double *ret_coef, double *ret_cov,
           struct stats_fit *ret_fit)
{
    const auto n = static_cast<Eigen::Index>(rows), p = static_cast<Eigen::Index>(columns);
    const Eigen::MatrixXd design = Eigen::Map<const row_matrix>(x, n, p);
    const Eigen::Map<const Eigen::VectorXd> target(y, n);
    const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(design);
    const Eigen::Index rank = qr.rank();

    /* Q'y = (R z; rest): the kept part is solved, the rest is the residual. */
    Eigen::VectorXd rotated = target;
    rotated.applyOnTheLeft(qr.householderQ().setLength(qr.nonzeroPivots()).adjoint());
    const auto triangle = qr.matrixR().topLeftCorner(rank, rank).template triangularView<Eigen::Upper>();
    const Eigen::VectorXd z = triangle.solve(rotated.head(rank));
    const Eigen::MatrixXd inverse = triangle.solve(Eigen::MatrixXd::Identity(rank, rank));

    ret_fit->rank = static_cast<size_t>(rank);
    ret_fit->df = static_cast<double>(n - rank);
    ret_fit->rss = rotated.tail(n - rank).squaredNorm();
    ret_fit->sigma2 = n > rank ? ret_fit->rss / ret_fit->df : not_a_number;
    const auto diagonal = qr.matrixR().diagonal().cwiseAbs();
    ret_fit->condition = rank > 0 ? diagonal[0] / diagonal[rank - 1] : not_a_number;
    const Eigen::MatrixXd cov = inverse * inverse.transpose() * ret_fit->sigma2;
    scatter(z, cov, qr.colsPermutation().indices(), p, ret_coef, ret_cov);
    return true;
}

} // namespace

extern "C" {

double stats_normal_cdf(double z)
{
    if (std::isnan(z))
        return not_a_number;
    return bm::cdf(bm::normal_distribution<double, quiet>(0, 1), z);
}

double stats_normal_quantile(double p)
{
    if (!is_probability(p))
        return not_a_number;
    return bm::quantile(bm::normal_distribution<double, quiet>(0, 1), p);
}

double stats_t_cdf(double t, double df)
{
    if (!is_df(df) || std::isnan(t))
        return std::isinf(df) && df > 0 ? stats_normal_cdf(t) : not_a_number;
    return bm::cdf(bm::students_t_distribution<double, quiet>(df), t);
}

double stats_t_quantile(double p, double df)
{
    if (!is_df(df) || !is_probability(p))
        return std::isinf(df) && df > 0 ? stats_normal_quantile(p) : not_a_number;
    return bm::quantile(bm::students_t_distribution<double, quiet>(df), p);
}

double stats_f_cdf(double f, double df1, double df2)
{
    if (!is_df(df1) || !is_df(df2) || !(f >= 0))
        return not_a_number;
    return bm::cdf(bm::fisher_f_distribution<double, quiet>(df1, df2), f);
}

double stats_f_quantile(double p, double df1, double df2)
{
    if (!is_df(df1) || !is_df(df2) || !is_probability(p))
        return not_a_number;
    return bm::quantile(bm::fisher_f_distribution<double, quiet>(df1, df2), p);
}

bool stats_least_squares(const double *x, size_t rows, size_t columns, const double *y, double *ret_coef,
                         double *ret_cov, struct stats_fit *ret_fit)
{
    if (rows == 0 || columns == 0 || !all_finite(x, rows * columns) || !all_finite(y, rows))
        return false;
    return solve(x, rows, columns, y, ret_coef, ret_cov, ret_fit);
}

} // extern "C"
