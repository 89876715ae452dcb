#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "groma/mask.h"
#include "io/safetensors.h"
#include "language/prompt.h"

namespace groma {

/// The regions of a conversation, by number. Only ever grows.
struct RegionSet {
  at::Tensor boxes_cxcywh;         ///< [R, 4] in [0, 1]
  at::Tensor scores;               ///< [R]
  at::Tensor tokens;               ///< [R, H]
  std::vector<bool> given;         ///< came from the user
  std::map<int, Mask> masks = {};  ///< of those whose features end at a mask
};

/// How many positions there are up to the picture's last; 0 where there is no picture.
int64_t picture_end(const ExpandedPrompt& prompt);

/// What need not be computed again when the same picture is asked about tomorrow.
struct KeptPicture {
  at::Tensor image_tokens;       ///< [image tokens, H]
  std::vector<at::Tensor> maps;  ///< that region tokens are read from, [1, C, side, side]
  at::Tensor proposed_boxes;     ///< [Q, 4] cxcywh in [0, 1]
  at::Tensor proposed_scores;    ///< [Q]
  RegionSet regions;             ///< chosen with no boxes given
  ExpandedPrompt prefix;         ///< what the decoder has read, up to the last region
  std::vector<at::Tensor> keys_and_values;  ///< per layer [2, kv_heads, length, head width]
};

/// A folder with one safetensors file a picture, named by a hash of model and picture.
class PictureCache {
 public:
  /// model     `model_fingerprint`
  /// throws    Error when the folder cannot be made
  PictureCache(std::string folder, std::string model, ModelConfig config);

  /// pixels_u8  [S, S, 3], what the network sees
  std::string key(const at::Tensor& pixels_u8) const;

  /// The entry of a key; nothing where there is none, or one that is damaged. Tensors are views of
  /// the file.
  ///
  /// settings  how regions were chosen; with others the entry comes without regions, and its prefix
  ///           ends with the picture
  std::optional<KeptPicture> find(const std::string& key, const std::string& settings) const;

  /// Writes an entry whole or not at all.
  ///
  /// throws    Error when the system refuses
  void keep(const std::string& key, const std::string& settings, const KeptPicture& picture) const;

 private:
  std::string path(const std::string& key) const;
  bool fits(const io::TensorMap& tensors) const;

  std::string folder_, model_;
  ModelConfig config_;
};

/// Tells checkpoints apart, and the ways to compute them: size and time of every file, name, shape
/// and a sample of the values of every tensor. Does not read gigabytes for it.
std::string model_fingerprint(const std::string& directory, const io::TensorMap& tensors,
                              const std::string& compute);

}  // namespace groma
