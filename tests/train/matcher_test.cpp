#include "train/matcher.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "support.h"

namespace groma::train {
namespace {

at::Tensor table(int64_t rows, int64_t columns, int64_t seed) {
  auto cost = at::empty({rows, columns}, at::kDouble);
  auto* value = cost.mutable_data_ptr<double>();
  for (int64_t i = 0; i < cost.numel(); ++i) {
    seed = (1103515245 * seed + 12345) % 2147483648;
    value[i] = static_cast<double>(seed) / 2147483648.0;
  }
  return cost;
}

double total(const at::Tensor& cost, const std::vector<int64_t>& column_of) {
  double sum = 0;
  std::set<int64_t> used;
  for (size_t row = 0; row < column_of.size(); ++row) {
    if (column_of[row] < 0) continue;
    EXPECT_TRUE(used.insert(column_of[row]).second) << "column given twice";
    sum += cost[static_cast<int64_t>(row)][column_of[row]].item<double>();
  }
  EXPECT_EQ(static_cast<int64_t>(used.size()), std::min(cost.size(0), cost.size(1)));
  return sum;
}

double best_by_trying(const at::Tensor& cost) {
  const bool tall = cost.size(0) > cost.size(1);
  const auto wide = tall ? cost.t() : cost;
  std::vector<int64_t> columns(wide.size(1));
  std::iota(columns.begin(), columns.end(), 0);
  double best = 1e300;
  do {
    double sum = 0;
    for (int64_t row = 0; row < wide.size(0); ++row) sum += wide[row][columns[row]].item<double>();
    best = std::min(best, sum);
  } while (std::next_permutation(columns.begin(), columns.end()));
  return best;
}

TEST(Matcher, AgreesWithTryingAllAssignments) {
  for (int64_t seed = 1; seed <= 6; ++seed) {
    for (const auto& [rows, columns] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 3}, {2, 5}, {5, 2}, {5, 5}}) {
      const auto cost = table(rows, columns, seed) - 0.5;
      EXPECT_NEAR(total(cost, assign(cost)), best_by_trying(cost), 1e-12);
    }
  }
}

TEST(Matcher, SolvesTablesWithEqualCosts) {
  const auto cost = at::tensor({1.0, 1.0, 2.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0}).view({3, 3});
  EXPECT_EQ(total(cost, assign(cost)), 3);
  EXPECT_EQ(total(at::zeros({4, 4}), assign(at::zeros({4, 4}))), 0);
}

// Least sums by scipy.optimize.linear_sum_assignment on the same tables.
TEST(Matcher, AgreesWithScipy) {
  struct Case {
    int64_t rows, columns, seed;
    double least;
  };
  for (const auto& one : {Case{5, 5, 1, 1.345518403686583}, Case{7, 12, 2, 0.5515471696853638},
                          Case{12, 7, 3, 0.3619226426817477}, Case{30, 100, 4, 0.3378987773321569},
                          Case{1, 4, 5, 0.25809032237157226}}) {
    const auto cost = table(one.rows, one.columns, one.seed);
    EXPECT_NEAR(total(cost, assign(cost)), one.least, 1e-9) << one.rows << " x " << one.columns;
  }
}

TEST(Matcher, NoColumnsLeaveEveryRowFree) {
  EXPECT_EQ(assign(at::zeros({3, 0})), (std::vector<int64_t>{-1, -1, -1}));
  EXPECT_TRUE(assign(at::zeros({0, 3})).empty());
}

TEST(Matcher, RefusesCostsThatAreNotFinite) {
  auto cost = at::zeros({2, 2});
  cost[1][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(assign(cost), c10::Error);
}

}  // namespace
}  // namespace groma::train
