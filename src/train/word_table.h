#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "train/worlds/questions.h"

namespace groma::train {

/// The words that describe objects, each with a vector that region tokens learn to point along.
///
/// The vectors are those that the language model's table begins with (`word_vector`), so what the
/// region encoder learns first is already in the words' own space.
class WordTable {
 public:
  static constexpr size_t kGroups = 4;  ///< sizes, colours, textures, kinds

  WordTable(World world, int64_t width, at::Device device);

  /// Places of an object's words in their groups; -1 where it has none.
  std::array<int64_t, kGroups> labels(const SceneObject& object) const;

  /// Cross-entropy of each word within its group, averaged over the regions, summed over groups.
  ///
  /// tokens   [R, H] region tokens
  /// objects  the object behind each
  /// right    when given, [R, kGroups] float: 1 right, 0 wrong, 1 where there is no word
  at::Tensor loss(const at::Tensor& tokens, const std::vector<const SceneObject*>& objects,
                  at::Tensor* right = nullptr) const;

  /// Sum of the vectors of an object's words: a feature that says all there is to say. [H]
  at::Tensor oracle(const SceneObject& object) const;

  const std::vector<std::vector<std::string>>& words() const { return words_; }

 private:
  std::vector<std::vector<std::string>> words_;
  std::vector<std::map<std::string, int64_t>> places_;
  std::vector<at::Tensor> rows_;  // of each group, [words, H]
};

/// The vector that a word begins with: normal, the same for a word whatever else there is.  [width]
at::Tensor word_vector(const std::string& word, int64_t width);

/// How far region tokens are from saying where their boxes are: mean squared error of the centre
/// and size that four fixed directions of the token give, in widths of the picture.
///
/// Without it a model that first learns words shrinks the box embedding, which is noise to it,
/// until places can hardly be told from a token. tokens        [R, H] boxes_cxcywh  [R, 4] in [0,
/// 1]
at::Tensor place_loss(const at::Tensor& tokens, const at::Tensor& boxes_cxcywh);

}  // namespace groma::train
