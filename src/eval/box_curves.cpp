#include "eval/box_curves.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <numeric>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "check.h"
#include "eval/figures.h"

namespace groma::eval {
namespace {

constexpr double kSpacing = 2.220446049250313e-16;  // numpy.spacing(1)

using Places = std::unordered_map<std::int64_t, std::uint32_t>;

/// Places of ids in ascending order.
template <typename Item>
std::pair<std::vector<std::uint32_t>, Places> ranked(const std::vector<Item>& items) {
  std::vector<std::uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return items[a].id < items[b].id; });
  Places places;
  places.reserve(items.size());
  for (std::uint32_t rank = 0; rank < order.size(); ++rank) places[items[order[rank]].id] = rank;
  return {std::move(order), std::move(places)};
}

/// A box and the place of its image among the image ids.
template <typename Box>
struct Placed {
  std::uint32_t image;
  const Box* box;
};

/// All boxes of one category, by image.
struct CategoryBoxes {
  std::vector<Placed<TrueBox>> truths;
  std::vector<Placed<DetectedBox>> detections;
};

/// All detections of a category with what became of them, in the order of image and score.
struct CategoryVerdicts {
  std::vector<double> scores;
  std::vector<int> ranks;  ///< among the detections of the image
  std::vector<Verdict> verdicts;
  std::array<std::int64_t, kAreas> positives{};
  bool any = false;
};

bool contains(const std::vector<std::int64_t>& ids, std::int64_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

template <typename Item>
std::size_t same_image(const std::vector<Item>& items, std::size_t begin, std::uint32_t image) {
  std::size_t end = begin;
  while (end < items.size() && items[end].image == image) ++end;
  return end;
}

/// Everything that is shared by the categories.
class Curves {
 public:
  Curves(const BoxTruth& truth, const std::vector<const DetectedBox*>& detections,
         const BoxRules& rules, const BoxMetricOptions& options)
      : truth_(truth), rules_(rules), options_(options) {
    std::tie(image_order_, image_place_) = ranked(truth.images);
    const auto [order, category_place] = ranked(truth.categories);
    boxes_.resize(truth.categories.size());
    for (const std::uint32_t c : order) out_.categories.push_back(truth.categories[c].id);
    for (const TrueBox& box : truth.boxes) {
      boxes_[category_place.at(box.category)].truths.push_back({image_place_.at(box.image), &box});
    }
    for (const DetectedBox* box : detections) {
      boxes_[category_place.at(box->category)].detections.push_back(
          {image_place_.at(box->image), box});
    }
    if (!options.use_categories) join_categories();
    const auto k = static_cast<std::int64_t>(out_.categories.size());
    const auto m = static_cast<std::int64_t>(rules.max_detections.size());
    out_.max_detections = rules.max_detections;
    out_.shape = {kThresholds, kRecalls, k, kAreas, m};
    out_.precision.assign(kThresholds * kRecalls * k * kAreas * m, -1);
    out_.recall.assign(kThresholds * k * kAreas * m, -1);
  }

  /// Each category writes to entries of its own, so the result does not depend on the threads.
  BoxMetrics run() {
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::atomic_flag failed = ATOMIC_FLAG_INIT;
    const auto work = [&] {
      try {
        for (std::size_t k; (k = next++) < boxes_.size();) accumulate(k, match(k));
      } catch (...) {
        if (!failed.test_and_set()) failure = std::current_exception();
      }
    };
    std::size_t count =
        options_.threads > 0 ? options_.threads : std::thread::hardware_concurrency();
    count = std::clamp<std::size_t>(count, 1, std::max<std::size_t>(boxes_.size(), 1));
    std::vector<std::thread> threads(count);
    for (auto& thread : threads) thread = std::thread(work);
    for (auto& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
    return std::move(out_);
  }

 private:
  /// Makes one class of all. The reference lists an image's boxes category by category.
  void join_categories() {
    CategoryBoxes all;
    for (CategoryBoxes& boxes : boxes_) {
      all.truths.insert(all.truths.end(), boxes.truths.begin(), boxes.truths.end());
      all.detections.insert(all.detections.end(), boxes.detections.begin(), boxes.detections.end());
    }
    boxes_ = {std::move(all)};
    out_.categories = {-1};
  }

  CategoryVerdicts match(std::size_t k) {
    CategoryBoxes& boxes = boxes_[k];
    const auto by_image = [](const auto& a, const auto& b) { return a.image < b.image; };
    std::stable_sort(boxes.truths.begin(), boxes.truths.end(), by_image);
    std::stable_sort(boxes.detections.begin(), boxes.detections.end(),
                     [](const auto& a, const auto& b) {
                       return a.image != b.image ? a.image < b.image : a.box->score > b.box->score;
                     });
    CategoryVerdicts out;
    BoxGroup group;
    for (std::size_t t = 0, d = 0; t < boxes.truths.size() || d < boxes.detections.size();) {
      const std::uint32_t image =
          std::min(t < boxes.truths.size() ? boxes.truths[t].image : UINT32_MAX,
                   d < boxes.detections.size() ? boxes.detections[d].image : UINT32_MAX);
      const std::size_t t_end = same_image(boxes.truths, t, image);
      const std::size_t d_end = same_image(boxes.detections, d, image);
      group.truths.clear();
      group.detections.clear();
      for (; t < t_end; ++t) group.truths.push_back(boxes.truths[t].box);
      for (; d < d_end; ++d) group.detections.push_back(boxes.detections[d].box);
      match_group(truth_.images[image_order_[image]], out_.categories[k], group, out);
    }
    boxes = {};
    return out;
  }

  void match_group(const BoxImage& image, std::int64_t category, BoxGroup& group,
                   CategoryVerdicts& out) const {
    if (rules_.federated) {
      if (group.truths.empty() && !contains(image.negative, category)) return;
      group.exhaustive = !contains(image.not_exhaustive, category);
    }
    const auto most = static_cast<std::size_t>(rules_.max_detections.back());
    if (group.detections.size() > most) group.detections.resize(most);
    out.any = true;
    const GroupVerdicts verdicts = match_boxes(group, options_.strict_reference);
    for (std::size_t d = 0; d < group.detections.size(); ++d) {
      out.scores.push_back(group.detections[d]->score);
      out.ranks.push_back(static_cast<int>(d));
      out.verdicts.push_back(verdicts.detections[d]);
    }
    for (int a = 0; a < kAreas; ++a) out.positives[a] += verdicts.positives[a];
  }

  void accumulate(std::size_t k, const CategoryVerdicts& category) {
    if (!category.any) return;
    std::vector<std::uint32_t> order(category.scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return category.scores[a] > category.scores[b];
    });
    for (std::size_t m = 0; m < rules_.max_detections.size(); ++m) {
      std::vector<std::uint32_t> kept;
      for (const std::uint32_t d : order) {
        if (category.ranks[d] < rules_.max_detections[m]) kept.push_back(d);
      }
      for (int a = 0; a < kAreas; ++a) {
        if (category.positives[a] == 0) continue;
        for (int t = 0; t < kThresholds; ++t) fill_curve(category, kept, k, m, a, t);
      }
    }
  }

  void fill_curve(const CategoryVerdicts& category, const std::vector<std::uint32_t>& kept,
                  std::size_t k, std::size_t m, int a, int t) {
    const auto positives = static_cast<double>(category.positives[a]);
    std::vector<double> recall, precision;
    recall.reserve(kept.size());
    precision.reserve(kept.size());
    double right = 0, wrong = 0;
    for (const std::uint32_t d : kept) {
      const bool matched = category.verdicts[d].matched[a] >> t & 1;
      if (!(category.verdicts[d].ignored[a] >> t & 1)) ++(matched ? right : wrong);
      recall.push_back(right / positives);
      precision.push_back(right / (wrong + right + kSpacing));
    }
    for (std::size_t i = precision.size(); i-- > 1;) {
      precision[i - 1] = std::max(precision[i - 1], precision[i]);
    }
    const auto entry = [&](std::size_t before) {
      return ((before * out_.categories.size() + k) * kAreas + a) * rules_.max_detections.size() +
             m;
    };
    out_.recall[entry(t)] = recall.empty() ? 0 : recall.back();
    for (int r = 0; r < kRecalls; ++r) {
      const double wanted = r == kRecalls - 1 ? 1.0 : r * 0.01;  // numpy.linspace(0, 1, 101)
      const auto at = std::lower_bound(recall.begin(), recall.end(), wanted) - recall.begin();
      out_.precision[entry(t * kRecalls + r)] =
          at < static_cast<std::ptrdiff_t>(precision.size()) ? precision[at] : 0;
    }
  }

  const BoxTruth& truth_;
  const BoxRules& rules_;
  const BoxMetricOptions& options_;
  std::vector<std::uint32_t> image_order_;
  Places image_place_;
  std::vector<CategoryBoxes> boxes_;
  BoxMetrics out_;
};

template <typename Item>
std::unordered_set<std::int64_t> unique_ids(const std::vector<Item>& items, const char* what) {
  std::unordered_set<std::int64_t> ids;
  ids.reserve(items.size());
  for (const Item& item : items) {
    require(ids.insert(item.id).second, "compare boxes: ", what, " id ", item.id,
            " comes twice; give every entry its own id");
  }
  return ids;
}

bool finite(const XywhBox& box) {
  return std::all_of(box.begin(), box.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

BoxMetrics box_curves(const BoxTruth& truth, const std::vector<const DetectedBox*>& detections,
                      const BoxRules& rules, const BoxMetricOptions& options) {
  return Curves(truth, detections, rules, options).run();
}

Figure summarize(const BoxMetrics& metrics, const std::vector<BoxCategory>& categories,
                 const SummaryOf& of) {
  std::unordered_map<std::int64_t, char> frequency;
  for (const BoxCategory& category : categories) frequency[category.id] = category.frequency;
  const auto [T, R, K, A, M] = metrics.shape;
  const std::vector<double>& array = of.precision ? metrics.precision : metrics.recall;
  const std::int64_t inner = of.precision ? R : 1;
  const std::int64_t first = of.threshold < 0 ? 0 : of.threshold * inner;
  const std::int64_t last = of.threshold < 0 ? T * inner : first + inner;
  std::vector<double> taken, means;
  for (std::int64_t k = 0; k < K; ++k) {
    if (of.frequency && frequency[metrics.categories[k]] != of.frequency) continue;
    std::vector<double> own;
    for (std::int64_t row = first; row < last; ++row) {
      const double value = array[((row * K + k) * A + of.area) * M + of.max_detections];
      if (value > -1) own.push_back(value);
    }
    if (own.empty()) continue;
    taken.insert(taken.end(), own.begin(), own.end());
    means.push_back(pairwise_sum(own) / static_cast<double>(own.size()));
  }
  return mean_figure(of.name, pairwise_sum(taken), static_cast<double>(taken.size()), means,
                     "normal, over categories");
}

void check_boxes(const BoxTruth& truth, const std::vector<DetectedBox>& detections,
                 const BoxMetricOptions& options, std::vector<std::string>& warnings) {
  const auto images = unique_ids(truth.images, "image");
  const auto categories = unique_ids(truth.categories, "category");
  const auto boxes = unique_ids(truth.boxes, "annotation");
  require(!images.empty(), "compare boxes: the truth has no image; check the annotation file");
  for (const TrueBox& box : truth.boxes) {
    require(images.contains(box.image), "compare boxes: annotation ", box.id, " is on image ",
            box.image, ", which the truth does not list; check the annotation file");
    require(categories.contains(box.category), "compare boxes: annotation ", box.id,
            " has category ", box.category, ", which the truth does not list");
    require(finite(box.bbox) && std::isfinite(box.area), "compare boxes: annotation ", box.id,
            " has a box or area that is not finite");
  }
  std::size_t unlisted = 0;
  for (std::size_t d = 0; d < detections.size(); ++d) {
    const DetectedBox& box = detections[d];
    require(images.contains(box.image), "compare boxes: detection ", d, " is on image ", box.image,
            ", which the truth does not list; take both files from one data set");
    require(finite(box.bbox) && std::isfinite(box.score), "compare boxes: detection ", d,
            " has a box or score that is not finite");
    unlisted += !categories.contains(box.category);
  }
  if (unlisted > 0) {
    warnings.push_back(
        std::to_string(unlisted) + " of " + std::to_string(detections.size()) +
        " detections have a category that the truth does not list; they are left out");
  }
  if (boxes.contains(0)) {
    warnings.push_back(options.strict_reference
                           ? "annotation id 0: counted as never found, as the reference tools do"
                           : "annotation id 0: counted like any other (the reference tools never "
                             "count it as found)");
  }
}

}  // namespace groma::eval
