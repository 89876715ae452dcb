// CIDEr-D (Vedantam et al. 2015), BLEU (Papineni et al. 2002) and ROUGE-L (Lin 2004) with the
// constants of pycocoevalcap 1.2.

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string_view>
#include <unordered_map>

#include "check.h"
#include "eval/figures.h"
#include "groma/evaluate.h"

namespace groma::eval {
namespace {

constexpr std::size_t kMaxN = 4;
constexpr double kSigma = 6.0;                  // width of CIDEr-D's length penalty, in bigrams
constexpr double kBeta = 1.2;                   // of ROUGE-L: recall weighs more than precision
constexpr double kSmall = 1e-9, kTiny = 1e-15;  // BLEU's guards against dividing by 0
constexpr int kResamples = 500;
constexpr std::size_t kMostWords = 10'000;  // of a caption; the time of ROUGE-L is its square

/// Up to four words by number; 0 fills the rest.
using Ngram = std::array<std::uint32_t, kMaxN>;

struct NgramHash {
  std::size_t operator()(const Ngram& ngram) const {
    std::uint64_t hash = 1469598103934665603u;
    for (const std::uint32_t word : ngram) hash = (hash ^ word) * 1099511628211u;
    return hash ^ hash >> 29;
  }
};

template <typename Value>
using NgramMap = std::unordered_map<Ngram, Value, NgramHash>;
using Counts = NgramMap<double>;

std::size_t order_of(const Ngram& ngram) {
  std::size_t n = 0;
  while (n < kMaxN && ngram[n] != 0) ++n;
  return n;
}

/// Bytes of the white space at `at` as Python's str.split() sees it; 0: none.
std::size_t blank_length(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte == ' ' || (byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x1F)) return 1;
  if (byte == 0xC2 && at + 1 < text.size()) {
    return text[at + 1] == '\x85' || text[at + 1] == '\xA0' ? 2 : 0;
  }
  if (byte < 0xE1 || byte > 0xE3 || at + 2 >= text.size()) return 0;
  const std::string_view three = text.substr(at, 3);
  const bool spaces =
      three.substr(0, 2) == "\xE2\x80" &&
      (three[2] <= '\x8A' || three[2] == '\xA8' || three[2] == '\xA9' || three[2] == '\xAF');
  return spaces || three == "\xE1\x9A\x80" || three == "\xE2\x81\x9F" || three == "\xE3\x80\x80"
             ? 3
             : 0;
}

/// Numbers words from 1.
class Vocabulary {
 public:
  std::uint32_t number(std::string_view word) {
    return numbers_.try_emplace(std::string(word), numbers_.size() + 1).first->second;
  }

  /// Words between any white space.
  std::vector<std::uint32_t> words(std::string_view text) {
    std::vector<std::uint32_t> out;
    for (std::size_t at = 0; at < text.size();) {
      if (const std::size_t blank = blank_length(text, at)) {
        at += blank;
        continue;
      }
      std::size_t end = at;
      while (end < text.size() && !blank_length(text, end)) ++end;
      out.push_back(number(text.substr(at, end - at)));
      at = end;
    }
    return out;
  }

  /// Words between single spaces; two spaces in a row hold an empty word, as does an empty text.
  std::vector<std::uint32_t> fields(std::string_view text) {
    std::vector<std::uint32_t> out;
    for (std::size_t at = 0;;) {
      const std::size_t end = std::min(text.find(' ', at), text.size());
      out.push_back(number(text.substr(at, end - at)));
      if (end == text.size()) return out;
      at = end + 1;
    }
  }

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

Counts count_ngrams(const std::vector<std::uint32_t>& words) {
  Counts counts;
  for (std::size_t n = 1; n <= kMaxN; ++n) {
    for (std::size_t i = 0; i + n <= words.size(); ++i) {
      Ngram ngram{};
      std::copy_n(words.begin() + i, n, ngram.begin());
      ++counts[ngram];
    }
  }
  return counts;
}

/// A text as n-gram counts.
struct Cooked {
  Counts counts;
  std::size_t length = 0;
};

struct CookedPair {
  Cooked caption;
  std::vector<Cooked> references;
};

Cooked cook(const std::string& text, Vocabulary& vocabulary) {
  const auto words = vocabulary.words(text);
  return {count_ngrams(words), words.size()};
}

/// A text as weights of n-grams, by length of the n-gram.
struct Weighted {
  Counts weights;
  std::array<double, kMaxN> norm{};
  double bigrams = 0;
};

class Cider {
 public:
  explicit Cider(const std::vector<CookedPair>& pairs)
      : log_images_(std::log(static_cast<double>(pairs.size()))) {
    for (const CookedPair& pair : pairs) {
      NgramMap<char> seen;
      for (const Cooked& reference : pair.references) {
        for (const auto& [ngram, count] : reference.counts) {
          if (seen.emplace(ngram, 1).second) ++document_frequency_[ngram];
        }
      }
    }
  }

  double score(const CookedPair& pair) const {
    const Weighted caption = weigh(pair.caption);
    std::array<double, kMaxN> sums{};
    for (const Cooked& reference : pair.references) add(caption, weigh(reference), sums);
    double mean = 0;
    for (const double sum : sums) mean += sum / kMaxN;
    return 10 * mean / static_cast<double>(pair.references.size());
  }

 private:
  Weighted weigh(const Cooked& text) const {
    Weighted out;
    for (const auto& [ngram, count] : text.counts) {
      const auto known = document_frequency_.find(ngram);
      const double frequency = known == document_frequency_.end() ? 1 : known->second;
      const double weight = count * (log_images_ - std::log(frequency));
      const std::size_t n = order_of(ngram);
      out.weights[ngram] = weight;
      out.norm[n - 1] += weight * weight;
      if (n == 2) out.bigrams += count;
    }
    for (double& norm : out.norm) norm = std::sqrt(norm);
    return out;
  }

  static void add(const Weighted& caption, const Weighted& reference,
                  std::array<double, kMaxN>& sums) {
    std::array<double, kMaxN> shared{};
    for (const auto& [ngram, weight] : caption.weights) {
      const auto other = reference.weights.find(ngram);
      if (other == reference.weights.end()) continue;
      shared[order_of(ngram) - 1] += std::min(weight, other->second) * other->second;
    }
    const double delta = caption.bigrams - reference.bigrams;
    const double penalty = std::exp(-(delta * delta) / (2 * kSigma * kSigma));
    for (std::size_t n = 0; n < kMaxN; ++n) {
      const double norms = caption.norm[n] * reference.norm[n];
      if (norms != 0) shared[n] /= norms;
      sums[n] += shared[n] * penalty;
    }
  }

  double log_images_;
  Counts document_frequency_;
};

/// What BLEU adds up over captions.
struct BleuTerms {
  std::array<double, kMaxN> right{}, all{};
  double length = 0, reference_length = 0;

  BleuTerms& operator+=(const BleuTerms& other) {
    for (std::size_t n = 0; n < kMaxN; ++n) {
      right[n] += other.right[n];
      all[n] += other.all[n];
    }
    length += other.length;
    reference_length += other.reference_length;
    return *this;
  }

  std::array<double, kMaxN> bleu() const {
    std::array<double, kMaxN> out{};
    const double ratio = (length + kTiny) / (reference_length + kSmall);
    double product = 1;
    for (std::size_t n = 0; n < kMaxN; ++n) {
      product *= (right[n] + kTiny) / (all[n] + kSmall);
      out[n] = std::pow(product, 1.0 / static_cast<double>(n + 1));
      if (ratio < 1) out[n] *= std::exp(1 - 1 / ratio);
    }
    return out;
  }
};

BleuTerms bleu_terms(const CookedPair& pair) {
  BleuTerms out;
  const auto length = static_cast<double>(pair.caption.length);
  out.length = length;
  // The closest reference length; of two as close the shorter.
  std::pair<double, double> closest{1e300, 0};
  Counts most;
  for (const Cooked& reference : pair.references) {
    const auto own = static_cast<double>(reference.length);
    closest = std::min(closest, {std::abs(own - length), own});
    for (const auto& [ngram, count] : reference.counts) {
      double& best = most[ngram];
      best = std::max(best, count);
    }
  }
  out.reference_length = closest.second;
  for (std::size_t n = 0; n < kMaxN; ++n)
    out.all[n] = std::max(0.0, length - static_cast<double>(n));
  for (const auto& [ngram, count] : pair.caption.counts) {
    const auto best = most.find(ngram);
    if (best != most.end()) out.right[order_of(ngram) - 1] += std::min(count, best->second);
  }
  return out;
}

std::size_t common_subsequence(const std::vector<std::uint32_t>& a,
                               const std::vector<std::uint32_t>& b) {
  std::vector<std::size_t> row(b.size() + 1), previous(b.size() + 1);
  for (const std::uint32_t word : a) {
    std::swap(row, previous);
    for (std::size_t j = 0; j < b.size(); ++j) {
      row[j + 1] = word == b[j] ? previous[j] + 1 : std::max(previous[j + 1], row[j]);
    }
  }
  return row[b.size()];
}

double rouge_l(const CaptionPair& pair, Vocabulary& vocabulary) {
  const auto caption = vocabulary.fields(pair.caption);
  double precision = 0, recall = 0;
  for (const std::string& text : pair.references) {
    const auto reference = vocabulary.fields(text);
    const auto longest = std::max(caption.size(), reference.size());
    require(longest <= kMostWords, "compare captions: one has ", longest, " words, at most ",
            kMostWords, " are compared; leave it out");
    const auto common = static_cast<double>(common_subsequence(reference, caption));
    precision = std::max(precision, common / static_cast<double>(caption.size()));
    recall = std::max(recall, common / static_cast<double>(reference.size()));
  }
  if (precision == 0 || recall == 0) return 0;
  return (1 + kBeta * kBeta) * precision * recall / (recall + kBeta * kBeta * precision);
}

/// BLEU belongs to a whole text, so its spread is that of texts drawn anew from the captions.
std::vector<std::array<double, 4>> bootstrap_bleu(const std::vector<BleuTerms>& terms) {
  std::mt19937_64 random(0);  // the same interval every time
  std::array<std::vector<double>, kMaxN> drawn;
  for (int i = 0; i < kResamples; ++i) {
    BleuTerms sum;
    for (std::size_t k = 0; k < terms.size(); ++k) sum += terms[random() % terms.size()];
    const auto bleu = sum.bleu();
    for (std::size_t n = 0; n < kMaxN; ++n) drawn[n].push_back(bleu[n]);
  }
  std::vector<std::array<double, 4>> out(2);
  for (std::size_t n = 0; n < kMaxN; ++n) {
    std::sort(drawn[n].begin(), drawn[n].end());
    out[0][n] = drawn[n][kResamples * 25 / 1000];
    out[1][n] = drawn[n][kResamples - 1 - kResamples * 25 / 1000];
  }
  return out;
}

}  // namespace

CaptionScores caption_scores(const std::vector<CaptionPair>& pairs) {
  CaptionScores out;
  if (pairs.empty()) return out;
  Vocabulary vocabulary;
  std::vector<CookedPair> cooked;
  cooked.reserve(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    require(!pairs[i].references.empty(), "compare captions: caption ", i,
            " has no reference to be compared with");
    CookedPair pair{cook(pairs[i].caption, vocabulary), {}};
    for (const std::string& text : pairs[i].references) {
      pair.references.push_back(cook(text, vocabulary));
    }
    out.rouge_l_each.push_back(rouge_l(pairs[i], vocabulary));
    cooked.push_back(std::move(pair));
  }
  const Cider cider(cooked);
  std::vector<BleuTerms> terms;
  BleuTerms total;
  for (const CookedPair& pair : cooked) {
    out.cider_each.push_back(cider.score(pair));
    terms.push_back(bleu_terms(pair));
    total += terms.back();
  }
  const auto count = static_cast<double>(pairs.size());
  out.cider = pairwise_sum(out.cider_each) / count;
  out.rouge_l = pairwise_sum(out.rouge_l_each) / count;
  out.bleu = total.bleu();
  out.ngrams_right = total.right;
  out.ngrams = total.all;
  out.bleu_low_high = bootstrap_bleu(terms);
  return out;
}

}  // namespace groma::eval
