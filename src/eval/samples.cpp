#include "eval/samples.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "check.h"
#include "eval/json_text.h"
#include "eval/write_annotations.h"
#include "io/file.h"

namespace groma::eval {
namespace {

constexpr double kInput = 448;    // pixels a side of the original's network
constexpr double kLeastSide = 2;  // of a target in the network's picture

Task task_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kRec:
      return Task::kRec;
    case Protocol::kLvisGround:
      return Task::kGround;
    case Protocol::kCaption:
      return Task::kCaption;
    case Protocol::kGroundedChat:
      return Task::kChat;
    default:
      return Task::kDetect;
  }
}

/// Whether an entry is one of a protocol's. Proposals are asked of any picture with boxes.
bool belongs(const Entry& entry, Protocol protocol) {
  if (protocol == Protocol::kProposals) return true;
  if (entry.task != task_of(protocol)) return false;
  // Chats that were written for other ends (counting, yes or no) name their kind.
  const std::string kind = extra_field(entry.extra, "kind");
  return protocol != Protocol::kGroundedChat || kind.empty() || kind == "\"describe\"";
}

class Lister {
 public:
  Lister(const Dataset& dataset, Protocol protocol) : dataset_(dataset), protocol_(protocol) {}

  void add(std::uint32_t index, const std::vector<std::uint32_t>& boxes) {
    const Entry& entry = dataset_.entries[index];
    if (!belongs(entry, protocol_)) {
      ++out_.other_tasks;
      return;
    }
    Sample sample{entry.label(), index, {}};
    std::string reason = drop_reason(entry);
    std::string box_reason = boxes.empty() ? "it has no box" : "";
    for (const std::uint32_t b : boxes) {
      const std::string why = why_not(entry, dataset_.annotations[b]);
      if (why.empty()) sample.boxes.push_back(b);
      if (box_reason.empty()) box_reason = why;
    }
    if (protocol_ == Protocol::kProposals) reason.clear();  // every picture has its proposals
    if (reason.empty() && sample.boxes.empty() && protocol_ != Protocol::kProposals) {
      reason = box_reason.empty() ? "no box takes part" : box_reason;
    }
    if (!reason.empty()) {
      out_.excluded.emplace_back(sample.label, reason);
      return;
    }
    check(entry, sample);
    if (protocol_ != Protocol::kProposals) count_repeat(entry, sample);
    out_.samples.push_back(std::move(sample));
  }

  SampleList take(std::size_t limit) {
    if (limit > 0 && out_.samples.size() > limit) out_.samples.resize(limit);
    const std::string why = out_.excluded.empty()
                                ? ""
                                : ", as " + out_.excluded[0].first + ": " + out_.excluded[0].second;
    require(!out_.samples.empty(), "list samples of ", io::quote(dataset_.path), " for ",
            name_of(protocol_), ": none of the ", dataset_.entries.size(), " entries fits (",
            out_.excluded.size(), " excluded", why, "; ", out_.other_tasks,
            " of other tasks); choose the protocol that the file is for");
    return std::move(out_);
  }

 private:
  std::string why_not(const Entry& entry, const Annotation& box) const {
    const std::string why = drop_reason(entry, box);
    if (!why.empty()) return why;
    if (protocol_ == Protocol::kLvisGround && box.category != entry.category) {
      return "it is of a category that is not asked for";
    }
    if (protocol_ == Protocol::kGroundedChat && box.text.empty()) return "its box has no phrase";
    if (protocol_ != Protocol::kRec) return "";
    require(entry.width > 0 && entry.height > 0, "list samples of ", io::quote(dataset_.path),
            ": entry ", entry.label(), " has no width and height");
    const auto unit = unit_xyxy(box.bbox, entry);
    const bool tiny =
        (unit[2] - unit[0]) * kInput < kLeastSide || (unit[3] - unit[1]) * kInput < kLeastSide;
    return tiny ? "the box is below 2 pixels at 448 x 448" : "";
  }

  void check(const Entry& entry, const Sample& sample) const {
    if (protocol_ == Protocol::kRec) {
      require(!entry.text.empty(), "list samples of ", io::quote(dataset_.path), ": entry ",
              entry.label(), " has no expression");
    }
    if (protocol_ != Protocol::kCaption) return;
    const Annotation& first = dataset_.annotations[sample.boxes[0]];
    for (const std::uint32_t b : sample.boxes) {
      const Annotation& box = dataset_.annotations[b];
      require(box.bbox == first.bbox, "list samples of ", io::quote(dataset_.path), ": entry ",
              entry.label(), " has boxes that differ (annotations ", first.id, " and ", box.id,
              "); captions need exactly one box for each entry");
      require(!box.text.empty(), "list samples of ", io::quote(dataset_.path), ": annotation ",
              box.id, " has no caption");
    }
  }

  void count_repeat(const Entry& entry, const Sample& sample) {
    std::string all = entry.image + '\n' + query_text(dataset_, entry);
    for (const std::uint32_t b : sample.boxes) {
      const Annotation& box = dataset_.annotations[b];
      all += '\n' + json_line(box.bbox) + box.text;
    }
    out_.repeated += !seen_.insert(std::move(all)).second;
  }

  const Dataset& dataset_;
  const Protocol protocol_;
  std::unordered_set<std::string> seen_;
  SampleList out_;
};

}  // namespace

std::array<double, 4> unit_xyxy(const XywhBox& box, const Entry& entry) {
  const auto unit = [](double value, double side) { return std::clamp(value / side, 0.0, 1.0); };
  const double w = entry.width, h = entry.height;
  return {unit(box[0], w), unit(box[1], h), unit(box[0] + box[2], w), unit(box[1] + box[3], h)};
}

std::unordered_map<std::string, std::uint32_t> SampleList::places() const {
  std::unordered_map<std::string, std::uint32_t> out;
  out.reserve(samples.size());
  for (std::uint32_t i = 0; i < samples.size(); ++i) out[samples[i].label] = i;
  return out;
}

SampleList list_samples(const Dataset& dataset, Protocol protocol, std::size_t limit) {
  Lister lister(dataset, protocol);
  const auto boxes = annotations_by_entry(dataset);
  for (std::uint32_t i = 0; i < dataset.entries.size(); ++i) lister.add(i, boxes[i]);
  return lister.take(limit);
}

}  // namespace groma::eval
