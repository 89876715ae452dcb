#include "train/word_table.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

namespace groma::train {
namespace {

constexpr double kDeviation = 0.15;  // of the embedding tables, as `initialise` draws them

}  // namespace

at::Tensor word_vector(const std::string& word, int64_t width) {
  uint64_t h = 14695981039346656037ull;  // FNV-1a
  for (const char c : word) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  auto random = at::make_generator<at::CPUGeneratorImpl>(h);
  return at::empty({width}).normal_(0, kDeviation, random);
}

WordTable::WordTable(World world, int64_t width, at::Device device)
    : words_(attribute_words(world)) {
  TORCH_CHECK(words_.size() == kGroups, "word table: ", words_.size(), " groups of words");
  for (const auto& group : words_) {
    std::vector<at::Tensor> rows;
    std::map<std::string, int64_t> places;
    for (const auto& word : group) {
      places[word] = static_cast<int64_t>(rows.size());
      rows.push_back(word_vector(word, width));
    }
    rows_.push_back((rows.empty() ? at::zeros({0, width}) : at::stack(rows)).to(device));
    places_.push_back(std::move(places));
  }
}

std::array<int64_t, WordTable::kGroups> WordTable::labels(const SceneObject& object) const {
  const std::array<const std::string*, kGroups> words{&object.size, &object.color, &object.texture,
                                                      &object.kind};
  std::array<int64_t, kGroups> result;
  for (size_t g = 0; g < kGroups; ++g) {
    const auto found = places_[g].find(*words[g]);
    result[g] = found == places_[g].end() ? -1 : found->second;
  }
  return result;
}

at::Tensor WordTable::loss(const at::Tensor& tokens, const std::vector<const SceneObject*>& objects,
                           at::Tensor* right) const {
  const auto regions = static_cast<int64_t>(objects.size());
  const auto labels_of = at::empty({static_cast<int64_t>(kGroups), regions}, at::kLong);
  auto place = labels_of.accessor<int64_t, 2>();
  for (int64_t r = 0; r < regions; ++r) {
    const auto own = labels(*objects[r]);
    for (size_t g = 0; g < kGroups; ++g) place[static_cast<int64_t>(g)][r] = own[g];
  }
  const auto wide = tokens.to(at::kFloat);
  auto total = at::zeros({});
  std::vector<at::Tensor> hits;
  for (size_t g = 0; g < kGroups; ++g) {
    const auto target = labels_of[static_cast<int64_t>(g)];
    if (rows_[g].size(0) == 0 || !target.ge(0).any().item<bool>()) {
      hits.push_back(at::ones({regions}, wide.options()));
      continue;
    }
    const auto label = target.to(wide.device());
    const auto logits = wide.matmul(rows_[g].t());  // [R, words]
    const auto entropy = at::cross_entropy_loss(logits, label, {}, at::Reduction::Mean, -1);
    total = total + entropy;
    hits.push_back(logits.argmax(1).eq(label).logical_or(label.lt(0)).to(at::kFloat));
  }
  if (right) *right = at::stack(hits, 1);
  return total;
}

at::Tensor WordTable::oracle(const SceneObject& object) const {
  const auto own = labels(object);
  auto sum = at::zeros({rows_[0].size(1)}, rows_[0].options());
  for (size_t g = 0; g < kGroups; ++g) {
    if (own[g] >= 0) sum += rows_[g][own[g]];
  }
  return sum;
}

at::Tensor place_loss(const at::Tensor& tokens, const at::Tensor& boxes_cxcywh) {
  constexpr std::array<const char*, 4> kNames{"<cx>", "<cy>", "<w>", "<h>"};
  constexpr std::array<float, 4> kMiddle{0.5f, 0.5f, 0.2f, 0.2f};
  // A box at the edge says its place as loudly as all its words together; sizes vary less.
  constexpr std::array<float, 4> kLoudness{4, 4, 6, 6};
  std::vector<at::Tensor> directions;
  for (const char* name : kNames) {
    const auto vector = word_vector(name, tokens.size(1));
    directions.push_back(vector / vector.dot(vector));
  }
  const auto device = tokens.device();
  const auto loudness = at::tensor(kLoudness, device);
  const auto said = tokens.to(at::kFloat).matmul(at::stack(directions, 1).to(device));  // [R, 4]
  const auto wanted = (boxes_cxcywh - at::tensor(kMiddle, device)) * loudness;
  return ((said - wanted) / loudness).square().mean();
}

}  // namespace groma::train
