#include "train/matcher.h"

#include <ATen/ATen.h>

#include <limits>

namespace groma::train {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A wide cost matrix (rows <= columns) and the dual prices of its rows and columns.
struct Problem {
  const double* cost;
  int64_t rows, columns;
  std::vector<double> row_price, column_price;
  std::vector<int64_t> row_of, column_of;  // -1: free

  double reduced(int64_t row, int64_t column) const {
    return cost[row * columns + column] - row_price[row] - column_price[column];
  }
};

/// Grows a tree of shortest alternating paths from a free row until it meets a free column, mends
/// the prices and turns the path over.
void augment(Problem& problem, int64_t start) {
  std::vector<double> distance(problem.columns, kInfinity);
  std::vector<int64_t> before(problem.columns, -1);
  std::vector<bool> done(problem.columns, false);
  std::vector<int64_t> visited_rows{start};
  int64_t row = start, sink = -1;
  double least = 0;
  while (sink < 0) {
    int64_t next = -1;
    double nearest = kInfinity;
    for (int64_t column = 0; column < problem.columns; ++column) {
      if (done[column]) continue;
      const double through = least + problem.reduced(row, column);
      if (through < distance[column]) {
        distance[column] = through;
        before[column] = row;
      }
      // Of equally near columns a free one ends the search at once.
      if (distance[column] < nearest ||
          (distance[column] == nearest && problem.row_of[column] < 0)) {
        nearest = distance[column];
        next = column;
      }
    }
    least = nearest;
    done[next] = true;
    if (problem.row_of[next] < 0) {
      sink = next;
    } else {
      row = problem.row_of[next];
      visited_rows.push_back(row);
    }
  }
  for (const int64_t visited : visited_rows) {
    const auto own = problem.column_of[visited];
    problem.row_price[visited] += own < 0 ? least : least - distance[own];
  }
  for (int64_t column = 0; column < problem.columns; ++column) {
    if (done[column]) problem.column_price[column] -= least - distance[column];
  }
  for (int64_t column = sink; column >= 0;) {
    const int64_t owner = before[column];
    problem.row_of[column] = owner;
    std::swap(column, problem.column_of[owner]);
  }
}

}  // namespace

std::vector<int64_t> assign(const at::Tensor& cost) {
  TORCH_CHECK(cost.dim() == 2, "assign: cost is ", cost.sizes(), ", expected [rows, columns]");
  const bool tall = cost.size(0) > cost.size(1);
  const auto table = (tall ? cost.t() : cost).detach().to(at::kCPU, at::kDouble).contiguous();
  TORCH_CHECK(at::isfinite(table).all().item<bool>(), "assign: a cost is not finite");
  Problem problem{table.const_data_ptr<double>(), table.size(0), table.size(1), {}, {}, {}, {}};
  problem.row_price.assign(problem.rows, 0);
  problem.column_price.assign(problem.columns, 0);
  problem.row_of.assign(problem.columns, -1);
  problem.column_of.assign(problem.rows, -1);
  for (int64_t row = 0; row < problem.rows; ++row) augment(problem, row);
  return tall ? problem.row_of : problem.column_of;
}

}  // namespace groma::train
