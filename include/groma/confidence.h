#pragma once

#include <string>

#include "groma/groma.h"

namespace groma {

/// Turns what a model says of a region into the probability that the region is right:
/// sigmoid(bias + score * logit(proposal score) + token * logit(token probability)), the logistic
/// regression of Platt 1999 on two features. As it stands it is the token's probability.
struct Calibration {
  double bias = 0;
  double score = 0;
  double token = 1;

  /// Reads confidence.json of a model's folder; without that file a region's token alone counts.
  ///
  /// throws    Error when the file is damaged
  static Calibration read(const std::string& directory);

  /// score        of the proposal, [0, 1]
  /// probability  of the region's token, [0, 1]
  /// returns      [0, 1]; NaN where the probability is, as of a region that no token named
  float confidence(double score, double probability) const;
  float confidence(const NamedRegion& named) const;
};

/// Takes the regions below a confidence from their phrases; the text stays.
void drop_unsure(ChatResult& answer, const Calibration& calibration, float least);

}  // namespace groma
