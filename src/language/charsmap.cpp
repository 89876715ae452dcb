#include "language/charsmap.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "check.h"
#include "language/unicode.h"

namespace groma {
namespace {

constexpr const char* kBroken = ": the compiled normalisation is broken (";
constexpr const char* kReplaceFile = "); the file is damaged, copy it again";

/// One unit of a Darts-clone double array: a node, or the value of a node that ends a key.
class Unit {
 public:
  explicit Unit(std::uint32_t bits) : bits_(bits) {}
  std::uint32_t label() const { return bits_ & 0x800000FFu; }  // top bit: a value, never matched
  bool ends_key() const { return (bits_ >> 8 & 1) != 0; }
  std::uint32_t offset() const { return bits_ >> 10 << ((bits_ & 1u << 9) >> 6); }
  std::uint32_t value() const { return bits_ & 0x7FFFFFFFu; }

 private:
  std::uint32_t bits_;
};

/// Visits every node that a search can reach.
class DoubleArrayCheck {
 public:
  DoubleArrayCheck(std::string_view units, std::string_view texts, const std::string& name)
      : units_(units),
        texts_(texts),
        name_(name),
        state_(units.size() / 4, kNew),
        height_(state_.size(), 0),
        keys_(state_.size(), 0) {}

  void run() { visit(0, 0); }

 private:
  static constexpr int kLongestKey = 128;  // bytes; real rules have at most some twenty
  static constexpr int kMostKeys = 32;     // on one path: the library keeps that many matches
  enum State : std::uint8_t { kNew, kOpen, kDone };

  Unit unit(std::uint32_t i) const {
    std::uint32_t bits;
    std::memcpy(&bits, units_.data() + std::size_t{4} * i, sizeof(bits));
    return Unit(bits);
  }

  void visit(std::uint32_t node, int depth) {
    require(depth <= kLongestKey, "read ", name_, kBroken, "a key without end", kReplaceFile);
    state_[node] = kOpen;
    const auto base = node ^ unit(node).offset();
    // A search reads base ^ byte before it compares labels, so all 256 places must exist.
    require((base | 0xFFu) < state_.size(), "read ", name_, kBroken, "it points out of itself",
            kReplaceFile);
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const auto child = base ^ byte;
      if (unit(child).label() != byte) continue;
      require(state_[child] != kOpen, "read ", name_, kBroken, "it runs in a circle", kReplaceFile);
      if (state_[child] == kNew) visit(child, depth + 1);
      height_[node] = std::max<std::uint8_t>(height_[node], height_[child] + 1);
      keys_[node] = std::max(keys_[node], keys_[child]);
    }
    require(height_[node] <= kLongestKey, "read ", name_, kBroken, "its keys are too long",
            kReplaceFile);
    if (node != 0 && unit(node).ends_key()) {
      check_text(unit(base).value());
      ++keys_[node];
    }
    require(keys_[node] <= kMostKeys, "read ", name_, kBroken, "too many rules begin alike",
            kReplaceFile);
    state_[node] = kDone;
  }

  void check_text(std::uint32_t begin) const {
    require(begin < texts_.size() && (static_cast<unsigned char>(texts_[begin]) & 0xC0) != 0x80,
            "read ", name_, kBroken, "a rule without text", kReplaceFile);
  }

  std::string_view units_, texts_;
  const std::string& name_;
  std::vector<State> state_;
  std::vector<std::uint8_t> height_, keys_;  // of the longest path and most keys below a node
};

}  // namespace

void validate_charsmap(std::string_view charsmap, const std::string& name) {
  std::uint32_t size = 0;
  require(charsmap.size() > sizeof(size), "read ", name, kBroken, "too short", kReplaceFile);
  std::memcpy(&size, charsmap.data(), sizeof(size));
  charsmap.remove_prefix(sizeof(size));
  require(size >= 1024 && size % 1024 == 0 && size < charsmap.size(), "read ", name, kBroken,
          "a table of ", size, " bytes in ", charsmap.size(), kReplaceFile);
  const auto texts = charsmap.substr(size);
  require(texts.back() == '\0' && valid_utf8(texts), "read ", name, kBroken,
          "its texts are not UTF-8", kReplaceFile);
  DoubleArrayCheck(charsmap.substr(0, size), texts, name).run();
}

}  // namespace groma
